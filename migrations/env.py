"""Alembic's entry: migrates the database of the connection that the caller hands over."""

from alembic import context

from kat_data.registry.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
