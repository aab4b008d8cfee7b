"""Recipes: what they resolve to, what makes two of them the same run, and one clear line for every mistake."""

import copy
import importlib.resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from kat_data.domain.call import Api
from kat_data.errors import RecipeError
from kat_data.hashing import content_hash
from kat_data.pipeline.recipe import (
    ROLES,
    Recipe,
    load_recipe,
    parse_recipe,
    recipe_schema,
    shipped_recipes,
    with_counts,
)
from kat_data.stages.catalogue import STAGES

PLAIN: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "queries": {"categories": ["math"], "limit": 10},
    "endpoints": {"local": {"url": "http://127.0.0.1:8000/v1"}},
    "models": {"chat": {"endpoint": "local", "model": "a-model", "revision": "1", "price": {"prompt": 1.0}}},
    "roles": {
        "voters": [{"model": "chat"}, {"model": "chat", "temperature": 0.7}],
        "responder": [{"model": "chat"}],
        "reasoner": [{"model": "chat"}],
        "panel": [{"model": "chat"}],
    },
    "budget": {"usd": 1.5},
    "stages": [
        "normalise",
        {"vote_mode": {"random_share": 0.5}},
        {"sample_off": {"k": 2}},
        "sample_on",
        {"verify": None},
    ],
    "snapshot": {"name": "small", "stage": "stage1"},
}

PLACES: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("stagez",), [], "unknown key `stagez`: did you mean `stages`?"),
    (("endpoints", "local", "concurency"), 4, "unknown key `endpoints.local.concurency`: did you mean `concurrency`?"),
    (("models", "chat", "modle"), "m", "unknown key `models.chat.modle`: did you mean `model`?"),
    (("models", "chat", "price", "promt"), 1, "unknown key `models.chat.price.promt`: did you mean `prompt`?"),
    (("roles", "voters", 1, "temprature"), 1, "unknown key `roles.voters.1.temprature`: did you mean `temperature`?"),
    (("roles", "voters", 1, "mode"), "later", "roles.voters.1.mode: Input should be 'at_once' or 'batch'"),
    (("endpoints", "local", "batch"), {"pol": 1}, "unknown key `endpoints.local.batch.pol`: did you mean `poll`?"),
    (("endpoints", "local", "provider"), "opnai", "endpoints.local.provider: Input should be 'openai', 'anthropic' or"),
    (("budget", "usdd"), 1, "unknown key `budget.usdd`: did you mean `usd`?"),
    (("budget", "dollars"), 1, "unknown key `budget.dollars` (known are: usd, tokens)"),
    (("queries", "source"), ["x"], "unknown key `queries.source`: did you mean `sources`?"),
    (("snapshot", "stag"), "stage2", "unknown key `snapshot.stag`: did you mean `stage`?"),
    (("snapshot", "splits"), {"test": 1.5}, "snapshot.splits: `test: 1.5` is no share: write one between 0 and 1"),
    (("snapshot", "splits"), {"train": 0.9}, "snapshot.splits: `train` takes what the other splits leave"),
    (("stages", 0), "normalize", "unknown stage `normalize`: did you mean `normalise`?"),
    (("stages", 0), {"normalize": {}}, "unknown stage `normalize`: did you mean `normalise`?"),
    (("stages", 1, "vote_mode", "on_ty"), "think_on", "stage `vote_mode`: unknown key `on_ty`: did you mean `on_tie`?"),
    (("stages", 2, "sample_off", "k"), 0, "stage `sample_off`: k: Input should be greater than or equal to 1"),
    (("stages", 0), {}, "a stage is its name, or its name with options as in `- tag: {}`, and not {}"),
    (("stages", 0), 7, "a stage is its name, or its name with options as in `- tag: {}`, and not 7"),
    (("stages", 0), {"tag": {}, "verify": {}}, "and not {'tag': {}, 'verify': {}}"),
    (("stages", 4), {"verify": 1}, "stage `verify`: this is a mapping of keys, and not 1"),
    (("stages",), "tag", "stages is a list, e.g. [tag]"),
    (("stages",), [], "a stage1 snapshot needs the stage verify: add it"),
    (("queries", "sources"), "gsm8k", "queries.sources is a list, e.g. [gsm8k]"),
    (("roles",), "chat", "roles is a mapping of keys, and not 'chat'"),
    (("endpoints", "local", "url"), "localhost:8000/v1", "endpoints.local.url: write one such as http://"),
    (("stages",), ["vote_mode", "sample_off", "sample_on", "verify", "verify"], "stage `verify` stands twice"),
    (("stages", 0), "tag", "stage `tag` needs the role `taggers`: add it under `roles`"),
    (("roles", "voters"), [], "stage `vote_mode` needs the role `voters`: add it under `roles`"),
    (
        ("roles", "embedder"),
        [{"model": "chat"}, {"model": "chat"}],
        "role `embedder` holds one model, and not 2: embeddings of two cannot be compared",
    ),
    (("roles", "voter"), [{"model": "chat"}], "unknown role `voter`: did you mean `voters`?"),
    (("roles", "responder.general"), [{"model": "chta"}], "role `responder.general`: unknown model `chta`"),
    (("roles", "responder.generl"), [{"model": "chat"}], "unknown category `generl`: did you mean `general`?"),
    (("roles", "judge.code"), [{"model": "chat"}], "role `judge.code`: add `judge`, too, for the other categories"),
    (("roles", "voters", 0, "model"), "chta", "role `voters`: unknown model `chta`: did you mean `chat`?"),
    (("models", "chat", "api"), "scores", "models.chat.api: Input should be 'chat', 'classify', 'score', 'pooling' or"),
    (("models", "chat", "endpoint"), "loacl", "model `chat`: unknown endpoint `loacl`: did you mean `local`?"),
    (("endpoints", "local"), {}, "endpoints.local: give either `url` or `recording`"),
    (("endpoints", "local", "recording"), "demo", "endpoints.local: give either `url` or `recording`"),
    (("name",), "Not A Name", "name: String should match pattern"),
    (("seed",), "three", "seed: Input should be a valid integer"),
    (("queries", "categories", 0), "maths", "queries.categories.0: Input should be 'code', 'math'"),
    (("roles", "voters", 0, "temperature"), 3, "roles.voters.0.temperature: Input should be less than or equal to 2"),
]  # fmt: skip


def with_(place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    plain = copy.deepcopy(PLAIN)
    part: Any = plain
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return plain


@pytest.mark.parametrize(("place", "value", "line"), PLACES, ids=[line for _, _, line in PLACES])
def test_a_mistake_is_one_line_that_says_where_and_what(place, value, line) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(with_(place, value), "small.yaml")
    [problem] = caught.value.problems
    assert line in problem
    assert str(caught.value) == f"small.yaml: {problem}"
    assert "\n" not in problem


def test_all_mistakes_are_listed_at_once_and_unknown_keys_first() -> None:
    plain = with_(("stages", 2, "sample_off", "k"), 0) | {"nmae": "small", "budget": {"usdd": 1}}
    plain["models"]["chat"]["endpoint"] = "loacl"
    del plain["name"]
    with pytest.raises(RecipeError) as caught:
        parse_recipe(plain, "small.yaml")
    assert caught.value.problems == (
        "unknown key `budget.usdd`: did you mean `usd`?",
        "unknown key `nmae`: did you mean `name`?",
        "model `chat`: unknown endpoint `loacl`: did you mean `local`?",
        "stage `sample_off`: k: Input should be greater than or equal to 1",
        "name: Field required",
    )
    assert str(caught.value).splitlines() == [
        "5 problems in small.yaml:",
        *(f"  {problem}" for problem in caught.value.problems),
    ]


def test_a_taxonomy_is_read_beside_the_recipe_and_its_content_is_the_runs(tmp_path: Path) -> None:
    plain = PLAIN | {
        "stages": [{"tag": {"taxonomy": "parts/mine.yaml"}}, *PLAIN["stages"]],
        "roles": PLAIN["roles"] | {"taggers": [{"model": "chat"}]},
    }
    (tmp_path / "parts").mkdir()
    recipe, taxonomy = tmp_path / "small.yaml", tmp_path / "parts" / "mine.yaml"
    recipe.write_text(yaml.safe_dump(plain))
    taxonomy.write_text("domains: {law: {about: the law}}")
    first = load_recipe(recipe)
    assert parse_recipe(first.resolved(), "stored").identity() == first.identity()
    taxonomy.write_text("domains: {law: {about: courts}}")
    second = load_recipe(recipe)
    assert second.identity() != first.identity()
    assert "mine.yaml" not in str(second.identity())
    moved = tmp_path / "moved.yaml"
    moved.write_text(taxonomy.read_text())
    recipe.write_text(recipe.read_text().replace("parts/mine.yaml", "moved.yaml"))
    assert load_recipe(recipe).identity() == second.identity()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "cannot read taxonomy {path}: No such file or directory"),
        ("domains: {law: {}, law: {}}", "{path} line 1: not YAML: key `law` stands twice, first in line 1"),
        ("[law]", "{path}: a taxonomy is a mapping of keys; see `kat recipes taxonomy`"),
        ("domians: {}", "unknown key `taxonomy.domians`: did you mean `domains`?"),
        (
            "domains: {mathematics: {subjects: {physics: {}}}}",
            "stage `tag`: the name `physics` stands twice among domains and subjects: every name is unique",
        ),
    ],
)
def test_a_taxonomy_that_cannot_be_used_is_one_line(tmp_path: Path, content: str | None, line: str) -> None:
    path = tmp_path / "mine.yaml"
    recipe = tmp_path / "small.yaml"
    stages = [{"tag": {"taxonomy": "mine.yaml"}}, *PLAIN["stages"]]
    roles = PLAIN["roles"] | {"taggers": [{"model": "chat"}]}
    recipe.write_text(yaml.safe_dump(PLAIN | {"stages": stages, "roles": roles}))
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe)
    assert line.format(path=path) in str(caught.value)
    assert "\n" not in str(caught.value)


WHOLE = ["vote_mode", "sample_off", "sample_on", "verify", "judge_mode"]


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        (WHOLE[:-1], "a stage2 snapshot needs the stage judge_mode: add it, or set snapshot.stage: stage1"),
        (WHOLE[1:], "stage `sample_off` needs the stage `vote_mode` or `route_mode` before it"),
        ([*WHOLE[:3], "judge_mode"], "stage `judge_mode` needs the stage `verify` before it"),
        ([*WHOLE[:2], *WHOLE[3:]], "stage `verify` needs the stage `sample_on` or `reason_on` or `develop` before it"),
        ([WHOLE[0], *WHOLE[2:]], "stage `verify` needs the stage `sample_off` or `develop` before it"),
        (["route_mode", *WHOLE[1:]], "stage `route_mode` needs the stage `tag` before it"),
        (["route_mode", "tag", *WHOLE], "stage `route_mode` stands before `tag`: put it behind"),
        ([*WHOLE[1:], WHOLE[0]], "stage `sample_on` stands before `vote_mode`: put it behind"),
        ([*WHOLE[:3], "judge_mode", "verify"], "stage `judge_mode` stands before `verify`: put it behind"),
        ([*WHOLE[:2], "verify", "judge_mode", "sample_on"], "stage `verify` stands before `sample_on`: put it behind"),
        (
            [*WHOLE[:2], "measure_mode", *WHOLE[2:]],
            "stage `measure_mode` stands behind `sample_off`: put it before",
        ),
        ([WHOLE[0], "add_intent", *WHOLE[1:]], "stage `add_intent` stands behind `vote_mode`: put it before"),
        ([*WHOLE, "judge_mode", "prefer"], "stage `prefer` stands behind `judge_mode`: put it before"),
        ([*WHOLE, "reason_on"], "stage `verify` stands before `reason_on`: put it behind"),
        (
            [*WHOLE[:4], {"judge_mode": {"only": ["code"]}}],
            "a stage2 snapshot needs the stage judge_mode for math too: widen its `only`, "
            "or leave them out of queries.categories",
        ),
    ],
)
def test_stages_that_bring_no_snapshot_are_refused(stages, problem) -> None:
    member = [{"model": "chat"}]
    plain = PLAIN | {"stages": stages, "roles": dict.fromkeys(ROLES, member), "snapshot": {"stage": "stage2"}}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(plain, "small.yaml")
    assert problem in caught.value.problems


def test_stages_that_bring_a_snapshot_are_taken() -> None:
    plain = PLAIN | {"roles": {role: [{"model": "chat"}] for role in ROLES}}
    for stages in (
        WHOLE,
        ["tag", "route_mode", "sample_off", "reason_on", "verify", {"judge_mode": {"only": ["math", "code"]}}],
    ):
        parse_recipe(plain | {"stages": stages, "snapshot": {"stage": "stage2"}}, "small.yaml")


@pytest.mark.parametrize("url", ["http://10.0.0.1", "https://models.example:8443/v1", "http://[::1]:8000/v1"])
def test_an_endpoint_needs_a_scheme_and_a_host_alone(url) -> None:
    parse_recipe(with_(("endpoints", "local", "url"), url), "small.yaml")


@pytest.mark.parametrize("missing", ["name", "endpoints", "models", "roles", "stages"])
def test_what_is_missing_is_named(missing) -> None:
    plain = {key: value for key, value in PLAIN.items() if key != missing}
    with pytest.raises(RecipeError, match=f"small.yaml: {missing}: Field required"):
        parse_recipe(plain, "small.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: small\nroles: [1\nbudget: 3\n", r"line 3: not YAML: expected ',' or '\]'"),
        ("name: a: b", "line 1: not YAML: mapping values are not allowed here"),
        ("x: 1\ny: !!python/object:os.system {}", "line 2: not YAML: could not determine a constructor"),
        ("seed: 1\nname: small\nseed: 2\n", "line 3: not YAML: key `seed` stands twice, first in line 1"),
        ("budget: {usd: 1, usd: 2}\n", "line 1: not YAML: key `usd` stands twice"),
        ("a: \0", "not YAML: unacceptable character"),
        ("- normalise", "a recipe is a mapping of keys"),
        ("", "a recipe is a mapping of keys"),
    ],
)
def test_what_is_no_recipe_at_all_is_said_with_its_line(tmp_path: Path, text, line) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=line) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read recipe .*none\.yaml: No such file or directory"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: gr\xfc\xdf".encode("latin-1"))
    with pytest.raises(RecipeError, match="not UTF-8 text"):
        load_recipe(tmp_path / "latin.yaml")
    with pytest.raises(RecipeError, match=r"no shipped recipe `mathh`: did you mean `math`\?"):
        load_recipe("mathh")


def test_a_resolved_recipe_is_the_same_recipe() -> None:
    recipe = parse_recipe(PLAIN, "small.yaml")
    assert [stage.name for stage in recipe.stages] == ["normalise", "vote_mode", "sample_off", "sample_on", "verify"]
    assert recipe.resolved()["stages"][2]["sample_off"]["k"] == 2
    again = parse_recipe(recipe.resolved(), "run 1")
    assert again == recipe
    assert again.resolved() == recipe.resolved()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("budget", "usd"), 99.0),
        (("endpoints", "local", "url"), "http://elsewhere/v1"),
        (("endpoints", "local", "concurrency"), 4),
        (("models", "chat", "price", "prompt"), 9.0),
        (("attempts",), 7),
        (("description",), "Another text."),
        (("snapshot", "name"), "other"),
        (("snapshot", "splits"), {"test": 5, "validation": 0.1}),
    ],
)
def test_where_and_at_what_price_is_no_part_of_the_identity(place, value) -> None:
    assert parse_recipe(with_(place, value), "x").identity() == parse_recipe(PLAIN, "x").identity()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("seed",), 4),
        (("models", "chat", "model"), "another-model"),
        (("models", "chat", "revision"), "abc"),
        (("roles", "voters", 0, "max_tokens"), 9),
        (("stages", 2, "sample_off", "k"), 3),
        (("reply_attempts",), 3),
    ],
)
def test_what_decides_the_samples_is_the_identity(place, value) -> None:
    assert parse_recipe(with_(place, value), "x").identity() != parse_recipe(PLAIN, "x").identity()


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_shipped_recipes_are_valid(name) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert parse_recipe(recipe.resolved(), name) == recipe


def test_the_schema_names_every_stage_role_and_key() -> None:
    schema = recipe_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Recipe.model_fields)
    names = schema["properties"]["roles"]["propertyNames"]["enum"]
    assert set(ROLES) < set(names)
    assert "responder.general" in names
    options = schema["properties"]["stages"]["items"]["anyOf"]
    assert [option["const"] for option in options if "const" in option] == list(STAGES)
    for name in STAGES:
        definition = schema["$defs"][f"stage_{name}"]
        assert definition["additionalProperties"] is False
        assert set(definition["properties"]) == set(STAGES[name].model_fields)


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    schema = recipe_schema()

    def references(part: Any):
        if isinstance(part, dict):
            yield from ([part["$ref"]] if "$ref" in part else [])
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    found = set(references(schema))
    assert found
    assert {reference.removeprefix("#/$defs/") for reference in found} <= set(schema["$defs"])


def unknown_keys(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str = "") -> list[str]:
    """Return the places in `value` that `schema` has no word for."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if options := schema.get("anyOf"):
        return min((unknown_keys(value, option, root, place) for option in options), key=len)
    if "const" in schema:
        return [] if value == schema["const"] else [place]
    if isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties", False)
        parts = [(f"{place}.{key}", part, named.get(key, others)) for key, part in value.items()]
    elif isinstance(value, list):
        parts = [(f"{place}.{index}", part, schema.get("items", False)) for index, part in enumerate(value)]
    else:
        return [] if schema.get("type") in {"string", "integer", "number", "boolean"} else [place]
    return [
        found
        for where, part, known in parts
        for found in (unknown_keys(part, known, root, where) if isinstance(known, dict) else [where])
    ]


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_schema_knows_the_shipped_recipes(name) -> None:
    text = importlib.resources.files("kat_data.recipes").joinpath(f"{name}.yaml").read_text("utf-8")
    plain, schema = yaml.safe_load(text), recipe_schema()
    assert unknown_keys(plain, schema, schema) == []
    typos = plain | {"stagez": [], "stages": ["normalize", {"tag": {"domain": []}}], "budget": {"usdd": 1}}
    assert set(unknown_keys(typos, schema, schema)) == {
        ".stagez", ".stages.0", ".stages.1", ".budget.usdd",
    }  # fmt: skip


def test_a_reward_model_can_be_a_rewarder_alone() -> None:
    plain = copy.deepcopy(PLAIN)
    plain["models"]["rm"] = {"endpoint": "local", "model": "a-reward-model", "api": "classify", "heads": ["style"]}
    plain["roles"] |= {"rewarder": [{"model": "rm"}], "rewarder.general": [{"model": "chat"}, {"model": "rm"}]}
    assert parse_recipe(plain, "small.yaml").models["rm"].api is Api.CLASSIFY
    plain["roles"]["judge"] = [{"model": "rm"}]
    with pytest.raises(RecipeError, match="role `judge`: model `rm` has the api classify: only `rewarder` can have it"):
        parse_recipe(plain, "small.yaml")


def test_the_order_of_overlapping_strata_is_another_run() -> None:
    def identity(*strata: str) -> object:
        plain = load_recipe("math").resolved()
        plain["stages"].insert(3, {"select": {"counts": dict.fromkeys(strata, 5)}})
        return content_hash(parse_recipe(plain, "math").identity())

    assert identity("mode=on", "difficulty=5..9") != identity("difficulty=5..9", "mode=on")
    assert identity("mode=on", "difficulty=5..9") == identity("mode=think_on", "difficulty=5..9")


@pytest.mark.parametrize(
    ("select", "stage", "why"),
    [
        ({"counts": {"switches=yes": 3}}, "stage1", "asks for switches, which rows of a stage1 snapshot do not hold"),
        (
            {"counts": {"any": 3}, "responses": {"switches=yes": 2}},
            "stage2",
            "`responses` cannot ask for switches, which nobody knows before the answers",
        ),
    ],
)
def test_transitions_are_asked_for_where_they_can_be_told(select: dict[str, object], stage: str, why: str) -> None:
    plain = load_recipe("math").resolved()
    plain["snapshot"]["stage"] = stage
    plain["stages"].insert(1, {"select": select})
    with pytest.raises(RecipeError, match=why):
        parse_recipe(plain, "math")


def test_transitions_need_no_mode_before_the_answers() -> None:
    """Nobody pays votes for conversations that are not let on."""
    plain = load_recipe("math").resolved()
    plain["stages"].insert(1, {"select": {"counts": {"mode=on switches=yes": 3, "switches=no": 3}}})
    assert parse_recipe(plain, "math").stages[1].name == "select"
    accepted = with_counts(load_recipe("math"), {"switches=yes": 3}, None)
    assert accepted.stages[1].name == "select"


def test_a_role_in_batches_needs_an_endpoint_that_has_them() -> None:
    plain = copy.deepcopy(PLAIN)
    plain["roles"]["voters"][0]["mode"] = "batch"
    parse_recipe(plain, "r")
    parse_recipe(with_endpoint(plain, recording="demo"), "r")  # recordings answer at once
    parse_recipe(with_endpoint(plain, provider="anthropic"), "r")
    with pytest.raises(RecipeError, match=r"role `voters`: endpoint `local` \(litellm\) has no Batch API: take `mode"):
        parse_recipe(with_endpoint(plain, provider="litellm"), "r")
    plain["models"]["scorer"] = {"endpoint": "local", "model": "s", "api": "score"}
    plain["roles"]["rewarder"] = [{"model": "scorer", "mode": "batch"}]
    with pytest.raises(RecipeError, match="only chats go in batches"):
        parse_recipe(plain, "r")


@pytest.mark.parametrize("provider", ["anthropic", "litellm"])
def test_embeddings_and_rewards_come_from_openai_compatible_endpoints(provider: str) -> None:
    plain = with_endpoint(PLAIN, provider=provider)
    plain["models"]["scorer"] = {"endpoint": "local", "model": "s", "api": "score"}
    plain["roles"] |= {"rewarder": [{"model": "scorer"}], "embedder": [{"model": "chat"}]}
    with pytest.raises(RecipeError) as raised:
        parse_recipe(plain, "r")
    assert len(raised.value.problems) == 2
    assert all(f"({provider}) serves chats alone" in problem for problem in raised.value.problems)


def test_how_calls_are_sent_is_no_part_of_what_a_run_is() -> None:
    recipe = parse_recipe(PLAIN, "r")
    plain = copy.deepcopy(PLAIN)
    plain["roles"]["voters"][0]["mode"] = "batch"
    plain["models"]["chat"]["price"]["batch"] = 0.4
    plain["endpoints"]["local"]["batch"] = {"poll": 5}
    assert parse_recipe(plain, "r").identity() == recipe.identity()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ({"provider": "anthropic"}, "https://api.anthropic.com/v1"),
        ({"provider": "anthropic", "url": "http://here/v1"}, "http://here/v1"),
        ({"provider": "anthropic", "recording": "demo"}, None),
        ({"provider": "litellm"}, None),
    ],
)
def test_providers_know_where_they_are(endpoint: dict[str, Any], url: str | None) -> None:
    assert parse_recipe(with_endpoint(PLAIN, **endpoint), "r").endpoints["local"].base_url == url


def with_endpoint(plain: dict[str, Any], **endpoint: Any) -> dict[str, Any]:
    return copy.deepcopy(plain) | {"endpoints": {"local": endpoint}}
