"""Alembic's migrations of the registry; `kat_data.registry.migrate` runs them."""
