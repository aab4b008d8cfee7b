"""`kat doctor`: what works on this machine, and what to do about what does not."""

from dataclasses import asdict

import click

from kat_data.cli.output import json_option, print_json, print_table
from kat_data.cli.tracked import waiting


@click.command()
@click.argument("recipe", required=False)
@json_option
def doctor(recipe: str | None, as_json: bool) -> None:
    """Look at settings, database, broker, sandbox, disk, clock and versions, and at the endpoints of RECIPE if given.

    Starts the embedded Postgres, asks each model of the recipe a tiny question, and changes nothing. Exits with 0
    where nothing failed, warnings or not, and with 1 where a check did.
    """
    from kat_data.doctor.examine import examine, healthy

    with waiting("looking"):
        findings = examine(recipe)
    if as_json:
        print_json({"healthy": healthy(findings), "checks": [asdict(finding) for finding in findings]})
    else:
        rows = [[f.check, f.level, f.found, f.remedy] for f in findings]
        print_table(["check", "state", "found", "what to do"], rows)
    if not healthy(findings):
        raise click.exceptions.Exit(1)
