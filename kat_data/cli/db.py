"""`kat db`: upgrade, inspect, back up or stop the database."""

import click

from kat_data.cli.backup import dump, restore, size
from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.registry import embedded, migrate
from kat_data.registry.session import Registry, locate
from kat_data.settings import Settings, mask_password


@click.group()
def db() -> None:
    """Upgrade, inspect, back up or stop the database."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Bring the database to this version's tables."""
    revision = migrate.upgrade(locate(Settings.load()))
    if as_json:
        print_json({"revision": revision})
    else:
        say(f"the database has revision {revision}")


@db.command()
@json_option
def status(as_json: bool) -> None:
    """Print where the database is, and whether its tables are current."""
    settings = Settings.load()
    registry = Registry(locate(settings))
    with registry.connection(autocommit=True) as connection:
        facts = {
            "url": mask_password(registry.url),
            "embedded": settings.database_url is None,
            "revision": migrate.current(connection),
            "needed": migrate.head(),
        }
    if as_json:
        print_json(facts)
    else:
        print_table(["fact", "value"], [[name, str(value)] for name, value in facts.items()])


@db.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the embedded Postgres; the next command starts it again."""
    settings = Settings.load()
    ran = embedded.stop(settings.home)
    if as_json:
        print_json({"stopped": ran})
    else:
        say("the embedded Postgres is stopped" if ran else "the embedded Postgres was not running")


for command in (dump, restore, size):
    db.add_command(command)
