"""Recipes: YAML that fixes endpoints, models by role, stages, budget and the queries of a run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)
from pydantic_core import ErrorDetails

from kat_data.domain.category import Category
from kat_data.errors import RecipeError
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.pipeline.recipe_checks import (
    KNOWN_AFTER,
    ROLES,
    model_problems,
    nearest,
    role_problems,
    sentences,
    sound,
    stage_problems,
)
from kat_data.pipeline.recipe_parts import (
    BatchSpec,
    BudgetSpec,
    EndpointSpec,
    MemberSpec,
    ModelSpec,
    OutputSpec,
    Part,
    PriceSpec,
    QuerySpec,
    Roles,
)
from kat_data.pipeline.taxonomy_file import with_taxonomies
from kat_data.pipeline.yaml_mapping import read_mapping
from kat_data.recipes import FOLDER
from kat_data.stages.catalogue import STAGES
from kat_data.stages.select import Select
from kat_data.stages.stage import Stage


def _stage(entry: Any) -> Stage:
    if isinstance(entry, Stage):
        return entry
    named = {entry: None} if isinstance(entry, str) else entry
    if not isinstance(named, dict) or len(named) != 1:
        raise sentences([f"a stage is its name, or its name with options as in `- tag: {{}}`, and not {entry!r}"])
    [(name, options)] = named.items()
    if name not in STAGES:
        raise sentences([f"unknown stage `{name}`{nearest(name, STAGES)}"])
    try:
        return STAGES[name].model_validate({} if options is None else options)
    except ValidationError as error:
        raise sentences([f"stage `{name}`: {line}" for line in _lines(error, STAGES[name])]) from None


class Recipe(Part):
    """One resolved recipe: everything that decides a run's samples, and its budget."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    description: str = ""
    seed: int = 0
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(4, description="Tries of a stage before its item is dead.")
    reply_attempts: Annotated[int, Field(ge=1, le=5)] = Field(2, description="Calls for one usable reply.")
    queries: QuerySpec = QuerySpec()
    endpoints: dict[str, EndpointSpec]
    models: dict[str, ModelSpec]
    roles: Roles
    budget: BudgetSpec = BudgetSpec()
    snapshot: OutputSpec = OutputSpec()
    stages: tuple[Annotated[Stage, BeforeValidator(_stage)], ...]

    @model_serializer(mode="wrap")
    def _dump(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return plain | {"stages": [{stage.name: stage.model_dump(mode="json")} for stage in self.stages]}

    @field_validator("models")
    @classmethod
    def _models_have_endpoints(cls, models: dict[str, ModelSpec], info: ValidationInfo) -> dict[str, ModelSpec]:
        return sound(models, model_problems(models, info.data))

    @field_validator("roles")
    @classmethod
    def _roles_have_models(cls, roles: Roles, info: ValidationInfo) -> Roles:
        return sound(roles, role_problems(roles, info.data))

    @field_validator("stages")
    @classmethod
    def _stages_fit_together(cls, stages: tuple[Stage, ...], info: ValidationInfo) -> tuple[Stage, ...]:
        return sound(stages, stage_problems(stages, info.data))

    def resolved(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values with every default filled in."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples: the resolved recipe without budget and places, and the hashes of prompts
        and of other shipped files."""
        plain = self.resolved()
        for key in ("budget", "endpoints", "attempts", "description", "snapshot"):
            del plain[key]
        del plain["queries"]["licences"]  # the chosen queries themselves are part of a run's key
        for model in plain["models"].values():
            del model["endpoint"], model["price"]
        for member in (member for members in plain["roles"].values() for member in members):
            del member["mode"]
        names = sorted({name for stage in self.stages for name in stage.prompts})
        files = {name: digest for stage in self.stages for name, digest in stage.files().items()}
        decisive: dict[str, Any] = {"prompts": {name: load_prompt(name).sha256 for name in names}, "files": files}
        strata = [[*stage.mixture.targets, *stage.responses] for stage in self.stages if isinstance(stage, Select)]
        if strata:  # a query counts for the first that holds it, and hashes do not see a mapping's order
            decisive["strata"] = strata[0]
        return plain | decisive


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe from a path, or a shipped one by its name.

    Raises `RecipeError` with a line for every mistake that says where and what.
    """
    text, origin = _read(str(name))
    return parse_recipe(with_taxonomies(read_mapping(text, origin), Path(name).parent), origin)


def parse_recipe(plain: Mapping[str, Any], origin: str) -> Recipe:
    """Validate a recipe given as plain values; the error's text names `origin` and every problem."""
    try:
        return Recipe.model_validate(plain)
    except ValidationError as error:
        problems = _lines(error, Recipe)
        listed = "".join(f"\n  {problem}" for problem in problems)
        text = f"{origin}: {problems[0]}" if len(problems) == 1 else f"{len(problems)} problems in {origin}:{listed}"
        raise RecipeError(text, problems=problems) from None


def with_counts(recipe: Recipe, counts: Mapping[str, int], usd: float | None) -> Recipe:
    """Return the recipe with a mixture of these counts by stratum, and with another budget where one is given.

    A recipe without the stage `select` gets it behind the stages that its strata need. Raises `RecipeError`.
    """
    plain = recipe.resolved()
    if usd is not None:
        plain["budget"]["usd"] = usd
    if counts:
        plain["stages"] = _with_select(plain["stages"], counts)
    return parse_recipe(plain, recipe.name)


def _with_select(stages: list[dict[str, Any]], counts: Mapping[str, int]) -> list[dict[str, Any]]:
    names = [name for stage in stages for name in stage]
    if Select.name in names:
        place = names.index(Select.name)
        kept = stages[place][Select.name] | {"samples": None, "shares": {}, "counts": dict(counts)}
        return [*stages[:place], {Select.name: kept}, *stages[place + 1 :]]
    try:
        dimensions = Select.model_validate({"counts": counts}).dimensions
    except ValidationError as error:
        raise RecipeError("; ".join(_lines(error, Select))) from None
    needed = {name for dimension in dimensions for name in KNOWN_AFTER.get(dimension, ())}
    place = max([names.index(name) + 1 for name in needed if name in names], default=1)
    return [*stages[:place], {Select.name: {"counts": dict(counts)}}, *stages[place:]]


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def recipe_schema() -> dict[str, Any]:
    """Return a JSON Schema for editors."""
    schema = Recipe.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    options = []
    for name, stage in STAGES.items():
        stage_schema = stage.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= stage_schema.pop("$defs", {})
        definitions[f"stage_{name}"] = stage_schema
        options += [
            {"const": name},
            {
                "type": "object",
                "properties": {name: {"$ref": f"#/$defs/stage_{name}"}},
                "required": [name],
                "additionalProperties": False,
            },
        ]
    schema["properties"]["stages"] = {"type": "array", "minItems": 1, "items": {"anyOf": options}}
    schema["properties"]["roles"]["propertyNames"] = {
        "enum": [*ROLES, *(f"{role}.{category}" for role in ROLES for category in Category)]
    }
    return schema


def _read(name: str) -> tuple[str, str]:
    if os.sep not in name and not name.endswith((".yaml", ".yml")):
        if name in shipped_recipes():
            return (FOLDER / f"{name}.yaml").read_text("utf-8"), name
        hint = nearest(name, shipped_recipes())
        raise RecipeError(f"no shipped recipe `{name}`{hint}; a recipe of your own is named by its path")
    try:
        return Path(name).read_text("utf-8"), name
    except OSError as error:
        raise RecipeError(f"cannot read recipe {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{name}: not UTF-8 text") from None


def _lines(error: ValidationError, model: type[BaseModel]) -> tuple[str, ...]:
    """Return one line for every problem: unknown keys first, as they often explain the missing ones, which are last."""
    order = {"extra_forbidden": 0, "missing": 2}
    problems = sorted(error.errors(), key=lambda problem: order.get(problem["type"], 1))
    return tuple(line for problem in problems for line in _in_words(problem, model))


def _in_words(problem: ErrorDetails, model: type[BaseModel]) -> list[str]:
    where = ".".join(str(part) for part in problem["loc"])
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "sentences":
        return message.splitlines()
    if kind == "extra_forbidden":
        known = _fields_at(model, problem["loc"][:-1])
        return [f"unknown key `{where}`{nearest(str(problem['loc'][-1]), known)}"]
    if kind == "tuple_type":
        return [f"{where} is a list, e.g. [{problem['input']}]"]
    if kind in {"model_type", "dict_type"}:
        return [f"{where or 'this'} is a mapping of keys, and not {problem['input']!r}"]
    return [f"{where}: {message}" if where else message]


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the field names of the part of `model` to which `path` leads."""
    parts: dict[str, type[BaseModel]] = {
        "endpoints": EndpointSpec,
        "models": ModelSpec,
        "roles": MemberSpec,
        "budget": BudgetSpec,
        "queries": QuerySpec,
        "snapshot": OutputSpec,
        "price": PriceSpec,
        "batch": BatchSpec,
    }
    named = [str(part) for part in path if str(part) in parts]
    return list((parts[named[-1]] if named and model is Recipe else model).model_fields)
