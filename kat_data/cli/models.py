"""`kat models`: check the endpoints of a recipe before a run spends on them."""

import asyncio
from dataclasses import asdict

import click

from kat_data.cli.output import json_option, print_json, print_table
from kat_data.cli.registry import say_what_is_missing
from kat_data.errors import EndpointDown
from kat_data.llm.check import Check, check_embedder, check_model
from kat_data.pipeline.recipe import Recipe, load_recipe
from kat_data.pipeline.wiring import endpoint_key


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
    checks = asyncio.run(_check_all(loaded))
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


async def _check_all(recipe: Recipe) -> list[Check]:
    found = []
    embedding = {member.model for member in recipe.roles.get("embedder", ())}
    for name, spec in recipe.models.items():
        endpoint = recipe.endpoints[spec.endpoint]
        if endpoint.url is None:
            recorded = Check(endpoint=spec.endpoint, model=spec.model, reachable=True, usable=True, problem="recorded")
            found.append(recorded)
            continue
        key = endpoint_key(spec.endpoint, endpoint)
        if name in embedding:
            found.append(await check_embedder(spec.endpoint, endpoint.url, spec.model, api_key=key))
        else:
            found.append(await check_model(spec.endpoint, endpoint.url, spec.model, api_key=key, api=spec.api))
    return found


def _word(value: object) -> object:
    return {True: "yes", False: "no", None: "?"}.get(value, value) if isinstance(value, bool | None) else value
