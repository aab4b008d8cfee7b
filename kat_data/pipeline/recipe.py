"""Recipes: YAML that fixes endpoints, models by role, stages, budget and the queries of a run."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from kat_data.domain.category import Category
from kat_data.errors import RecipeError
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.recipes import FOLDER
from kat_data.stages.catalogue import STAGES
from kat_data.stages.stage import Stage

ROLES = (
    "taggers",
    "voters",
    "responder",
    "reasoner",
    "solver",
    "thinker",
    "critic",
    "judge",
    "panel",
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EndpointSpec(_Part):
    """Where models are served: an OpenAI-compatible base URL, or a recorded ledger."""

    url: str | None = Field(None, description="Base URL of an OpenAI-compatible endpoint, ending in /v1.")
    recording: str | None = Field(None, description="A recorded ledger that answers instead: a path, or `demo`.")
    key_env: str | None = Field(None, description="Name of the environment variable that holds the API key.")
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 16
    timeout: Annotated[float, Field(gt=0)] = Field(
        300.0, description="Seconds without a byte before a call is retried."
    )
    retries: Annotated[int, Field(ge=0, le=20)] = Field(5, description="Tries after the first, for passing faults.")

    @model_validator(mode="after")
    def _one_place(self) -> "EndpointSpec":
        if (self.url is None) == (self.recording is None):
            raise ValueError("give either `url` or `recording`")
        return self


class PriceSpec(_Part):
    """Money per million tokens, in US dollars."""

    prompt: Annotated[float, Field(ge=0)] = 0.0
    completion: Annotated[float, Field(ge=0)] = 0.0


class ModelSpec(_Part):
    """A model as an endpoint serves it."""

    endpoint: str
    model: str = Field(description="The name that the endpoint knows.")
    revision: str = Field("", description="Checkpoint hash of a model that changes under one name.")
    price: PriceSpec = PriceSpec()
    native_tools: bool = Field(False, description="The endpoint takes `tools` and returns tool calls.")
    native_reasoning: bool = Field(False, description="The model thinks by itself and returns its reasoning.")
    send_seed: bool = Field(True, description="Send a seed with each call, for endpoints that take one.")


class MemberSpec(_Part):
    """One member of a role: a model with its sampling."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 1024


class BudgetSpec(_Part):
    """The run's hard cap; a call that could pass it is not sent."""

    usd: Annotated[float, Field(ge=0)] | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None


class QuerySpec(_Part):
    """Which queries of the registry the run takes; empty lists take all."""

    sources: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="Take the first N by content hash.")


class OutputSpec(_Part):
    """How the run's samples are written as a snapshot."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] | None = None
    stage: Literal["stage1", "stage2"] = "stage2"


class Recipe(_Part):
    """One resolved recipe: everything that decides a run's samples, and its budget."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    description: str = ""
    seed: int = 0
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(4, description="Tries of a stage before its item is dead.")
    reply_attempts: Annotated[int, Field(ge=1, le=5)] = Field(2, description="Calls for one usable reply.")
    queries: QuerySpec = QuerySpec()
    endpoints: dict[str, EndpointSpec]
    models: dict[str, ModelSpec]
    roles: dict[str, tuple[MemberSpec, ...]]
    budget: BudgetSpec = BudgetSpec()
    stages: tuple[Stage, ...]
    snapshot: OutputSpec = OutputSpec()

    @field_validator("stages", mode="before")
    @classmethod
    def _stages(cls, entries: Any) -> tuple[Stage, ...]:
        if not isinstance(entries, list | tuple):
            raise ValueError("`stages` is a list")
        return tuple(entry if isinstance(entry, Stage) else _stage(entry) for entry in entries)

    @model_serializer(mode="wrap")
    def _dump(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return plain | {"stages": [{stage.name: stage.model_dump(mode="json")} for stage in self.stages]}

    @model_validator(mode="after")
    def _refers_to_what_exists(self) -> "Recipe":
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        names = [stage.name for stage in self.stages]
        if not names:
            yield "`stages` is empty"
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"stage `{name}` stands twice"
        for key, model in self.models.items():
            if model.endpoint not in self.endpoints:
                yield f"model `{key}`: unknown endpoint `{model.endpoint}`{_nearest(model.endpoint, self.endpoints)}"
        for role, members in self.roles.items():
            if role not in ROLES:
                yield f"unknown role `{role}`{_nearest(role, ROLES)}"
            for member in members:
                if member.model not in self.models:
                    yield f"role `{role}`: unknown model `{member.model}`{_nearest(member.model, self.models)}"
        for stage in self.stages:
            for earlier in stage.follows:
                if earlier not in names[: names.index(stage.name)]:
                    yield f"stage `{stage.name}` needs the stage `{earlier}` before it"
            for role in stage.needed_roles():
                if not self.roles.get(role):
                    yield f"stage `{stage.name}` needs the role `{role}`: add it under `roles`"

    def resolved(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values with every default filled in."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples: the resolved recipe without budget and places, and the prompts' hashes."""
        plain = self.resolved()
        for key in ("budget", "endpoints", "attempts", "description", "snapshot"):
            del plain[key]
        for model in plain["models"].values():
            del model["endpoint"], model["price"]
        names = sorted({name for stage in self.stages for name in stage.prompts})
        return plain | {"prompts": {name: load_prompt(name).sha256 for name in names}}


def _stage(entry: Any) -> Stage:
    named = {entry: None} if isinstance(entry, str) else entry
    if not isinstance(named, dict) or len(named) != 1:
        raise ValueError(f"a stage is its name, or its name with options as in `- tag: {{}}`, and not {entry!r}")
    [(name, options)] = named.items()
    if name not in STAGES:
        raise ValueError(f"unknown stage `{name}`{_nearest(name, STAGES)}")
    try:
        return STAGES[name].model_validate({} if options is None else options)
    except ValidationError as error:
        raise ValueError(f"stage `{name}`: {_first_problem(error, STAGES[name])}") from None


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe from a path, or a shipped one by its name.

    Raises `RecipeError` with one line that says where and what.
    """
    text, origin = _read(str(name))
    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", error)).partition("\n")[0]
        raise RecipeError(f"{origin}{where}: not YAML: {problem}") from None
    if not isinstance(plain, dict):
        raise RecipeError(f"{origin}: a recipe is a mapping of keys; see `kat recipes schema`")
    return parse_recipe(plain, origin)


def parse_recipe(plain: Mapping[str, Any], origin: str) -> Recipe:
    """Validate a recipe given as plain values; `origin` opens the error's line."""
    try:
        return Recipe.model_validate(plain)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_first_problem(error, Recipe)}") from None


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
    schema["properties"]["roles"]["propertyNames"] = {"enum": list(ROLES)}
    return schema


def _read(name: str) -> tuple[str, str]:
    if os.sep not in name and not name.endswith((".yaml", ".yml")):
        if name in shipped_recipes():
            return (FOLDER / f"{name}.yaml").read_text("utf-8"), name
        hint = _nearest(name, shipped_recipes())
        raise RecipeError(f"no shipped recipe `{name}`{hint}; a recipe of your own is named by its path")
    try:
        return Path(name).read_text("utf-8"), name
    except OSError as error:
        raise RecipeError(f"cannot read recipe {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{name}: not UTF-8 text") from None


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, problem["loc"][:-1])
        return f"unknown key `{where}`{_nearest(str(problem['loc'][-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ")
    says_where = not where or (where == "stages" and problem["type"] == "value_error")
    return message if says_where else f"{where}: {message}"


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
    }
    named = [str(part) for part in path if str(part) in parts]
    return list((parts[named[-1]] if named and model is Recipe else model).model_fields)


def _nearest(word: Any, known: Iterable[str]) -> str:
    """Return the end of a line about an unknown `word`: the nearest name that is known, or all of them."""
    names = list(known)
    matches = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    return f": did you mean `{matches[0]}`?" if matches else f" (known are: {', '.join(names)})"
