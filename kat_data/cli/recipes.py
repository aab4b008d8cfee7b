"""`kat recipes`: list the shipped ones, validate a file, print the JSON Schema for editors."""

import click

from kat_data.cli.output import json_option, print_json, print_table
from kat_data.cli.registry import say_what_is_missing
from kat_data.errors import RecipeError
from kat_data.pipeline.recipe import load_recipe, recipe_schema, shipped_recipes


@click.group()
def recipes() -> None:
    """List, validate and describe recipes."""


@recipes.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the recipes that come with KAT Data."""
    rows = [{"name": name, "description": load_recipe(name).description} for name in shipped_recipes()]
    if as_json:
        print_json(rows)
    else:
        print_table(["name", "description"], [[row["name"], row["description"]] for row in rows])


@recipes.command()
@click.argument("recipe")
@json_option
def validate(recipe: str, as_json: bool) -> None:
    """Validate RECIPE (a path, or a shipped name) and print it resolved, or every problem; then it exits with 2."""
    try:
        loaded = load_recipe(recipe)
    except RecipeError as error:
        if as_json:
            print_json({"valid": False, "problems": error.problems})
        raise
    if as_json:
        print_json(loaded.resolved())
    else:
        stages = ", ".join(stage.name for stage in loaded.stages)
        click.echo(f"{recipe}: valid; stages: {stages}")
    say_what_is_missing(loaded)


@recipes.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    print_json(recipe_schema())


@recipes.command()
@json_option
def taxonomy(as_json: bool) -> None:
    """Print the YAML file of domains, difficulty levels and labels that a taxonomy of yours extends."""
    from kat_data.stages.taxonomy import shipped_taxonomy, shipped_text

    if as_json:
        print_json(shipped_taxonomy().model_dump(mode="json"))
    else:
        click.echo(shipped_text(), nl=False)
