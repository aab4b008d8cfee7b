"""`kat models`: check the endpoints of a recipe before a run spends on them."""

import asyncio
from dataclasses import asdict

import click

from kat_data.cli.output import json_option, print_json, print_table
from kat_data.cli.registry import say_what_is_missing
from kat_data.errors import EndpointDown
from kat_data.pipeline.endpoint_check import check_models
from kat_data.pipeline.recipe import load_recipe


@click.group()
def models() -> None:
    """Check the endpoints of a recipe."""


@models.command()
@click.argument("recipe")
@json_option
def check(recipe: str, as_json: bool) -> None:
    """Ask every model of RECIPE a tiny question: reachable, JSON Schema, logprobs, context length.

    Exits with 3 where one fails.
    """
    loaded = load_recipe(recipe)
    say_what_is_missing(loaded)
    checks = asyncio.run(check_models(loaded))
    if as_json:
        print_json([asdict(found) for found in checks])
    else:
        columns = (
            "endpoint",
            "model",
            "usable",
            "reachable",
            "seconds",
            "listed",
            "json_schema",
            "logprobs",
            "context_length",
        )
        rows = [[_word(getattr(found, name)) for name in columns] + [found.problem] for found in checks]
        print_table([*columns, "problem"], rows)
    failed = [found.model for found in checks if not found.usable]
    if failed:
        raise EndpointDown(f"{len(failed)} of {len(checks)} models cannot be used: {', '.join(failed)}")


def _word(value: object) -> object:
    return {True: "yes", False: "no", None: "?"}.get(value, value) if isinstance(value, bool | None) else value
