"""`kat config`: settings, and where each came from."""

import click

from kat_data.cli.output import json_option, print_json, print_table
from kat_data.settings import Settings


@click.group()
def config() -> None:
    """Show settings and where each came from."""


@config.command()
@json_option
def show(as_json: bool) -> None:
    """Print every setting, its value and its origin; passwords are masked."""
    settings = Settings.load().shown()
    if as_json:
        print_json({s.name: {"value": s.value, "origin": s.origin} for s in settings})
    else:
        print_table(["setting", "value", "from"], [[s.name, s.value, s.origin] for s in settings])
