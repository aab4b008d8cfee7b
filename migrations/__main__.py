"""`python -m migrations "what it does"` writes the next migration, from how the metadata differs from the database.

Read what it wrote before you keep it: Alembic sees neither renamed columns nor moved data.
"""

import sys

from alembic import command

from kat_data.registry import migrate, session
from kat_data.settings import Settings


def main() -> None:
    with session.connect(Settings.load()) as registry, registry.engine.connect() as connection:
        number = f"{int(migrate.head() or 0) + 1:04}"
        written = command.revision(migrate.config(connection), " ".join(sys.argv[1:]), autogenerate=True, rev_id=number)
        sys.stdout.write(f"{written.path}\n")  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
