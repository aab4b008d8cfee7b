"""Soft labels, pass rates and calibration in whole runs: what is stored, paid and reported."""

import json
import re
from typing import Any

import pytest

from kat_data.errors import RecipeError, UserError
from kat_data.pipeline.calibration import CANDIDATES, FIRST, calibrate
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.rescore import compare_revisions
from kat_data.registry import pass_rates, queries, rendered
from kat_data.registry.lineage import sample_lineage
from kat_data.registry.session import Registry
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

SUM = re.compile(r"(\d+) \+ (\d+)")


class Pupil:
    """Adds right up to its `skill`, beyond it by the draw; tags difficulty by the size of the sum."""

    def __init__(self, skill: int) -> None:
        self.skill = skill

    def __call__(self, body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        left, right = map(int, SUM.search(text).groups())  # type: ignore[union-attr]
        if "difficulty" in json.dumps(body.get("response_format", {})):
            level = min(10, 1 + (left + right) // 10)
            return json.dumps({"steps": "add", "difficulty": level, "domain": "arithmetic", "verifiable": True})
        if body.get("response_format"):
            return obedient(body)
        slip = 0 if left + right <= self.skill or body["seed"] % 4 == 0 else 1
        return f"# Thinking\nI add.\n\n# Answer\n\\boxed{{{left + right + slip}}}"


@pytest.fixture
async def pupil():
    script = Pupil(skill=50)
    async with ScriptedServer(script) as server:
        server.skill = lambda skill: setattr(script, "skill", skill)  # type: ignore[attr-defined]
        yield server


def recipe(server: ScriptedServer, *stages: Any, revision: str = "step-1", **parts: Any) -> dict[str, Any]:
    member = [{"model": "one", "max_tokens": 200, "temperature": 0.7}]
    roles = ("taggers", "labellers", "voters", "responder", "reasoner", "panel", "judge")
    return {
        "name": "measured",
        "seed": 5,
        "endpoints": {"scripted": {"url": server.url, "concurrency": 8, "retries": 1}},
        "models": {
            "one": {"endpoint": "scripted", "model": "one"},
            "policy": {"endpoint": "scripted", "model": "kat", "revision": revision},
        },
        "roles": {**dict.fromkeys(roles, member), "policy": [{"model": "policy", "temperature": 1.0}]},
        "stages": [
            "normalise",
            "tag",
            *stages,
            {"vote_mode": {"random_share": 0}},
            "sample_off",
            "sample_on",
            "verify",
        ],
        "snapshot": {"stage": "stage1"},
        **parts,
    }


def sums(*totals: int, reference: bool = True) -> list[Any]:
    return [a_query(f"What is {total - 1} + 1?", reference=str(total) if reference else None) for total in totals]


async def test_a_pass_rate_is_kept_with_its_rollouts_and_only_new_ones_are_paid(
    registry: Registry, run, look, add_queries, pupil: ScriptedServer
) -> None:
    add_queries(*sums(5, 25, 60, 90))
    first = await run(recipe(pupil, {"pass_rate": {"k": 4, "concurrent": 2}}))
    asked = pupil.statistics.requests
    second = await run(recipe(pupil, {"pass_rate": {"k": 7}}))
    assert second.id != first.id
    assert pupil.statistics.requests == asked + 4 * 3
    with registry.engine.connect() as connection:
        [measured] = pass_rates.list_measurements(connection)
        rows = connection.exec_driver_sql(
            "SELECT k, correct, incorrect, undecided, revision FROM pass_rates WHERE run_id = %s", (second.id,)
        ).all()
        rollouts = connection.exec_driver_sql("SELECT count(*), count(DISTINCT call) FROM rollouts").one()
    assert (measured["queries"], measured["rollouts"], measured["revision"]) == (4, 28, "step-1")
    assert all((row.k, row.correct + row.incorrect, row.undecided) == (7, 7, 0) for row in rows)
    assert rollouts == (4 * (4 + 7), 4 * 7)
    assert look.ends(second.id)["accepted"] == 4


async def test_queries_outside_the_range_leave_with_their_rollouts_in_the_lineage(
    registry: Registry, run, look, add_queries, pupil: ScriptedServer
) -> None:
    add_queries(*sums(5, 25, 60, 90))
    found = await run(recipe(pupil, {"pass_rate": {"k": 8, "keep": [0.05, 0.95], "stop_early": 4}}))
    assert look.reasons(found.id) == {"too_easy"}
    assert look.ends(found.id) == {"dropped": 2, "accepted": 2}
    with registry.engine.connect() as connection:
        query = connection.exec_driver_sql(
            "SELECT query_id FROM work_items WHERE run_id = %s AND state = 'dropped' LIMIT 1", (found.id,)
        ).scalar_one()
        lineage = sample_lineage(connection, f"{found.id}/{query}")
    assert [rate["correct"] for rate in lineage["pass_rates"]] == [4]
    assert [rollout["outcome"] for rollout in lineage["rollouts"]] == ["correct"] * 4
    assert {call["stage"] for call in lineage["calls"]} == {"tag", "pass_rate"}


async def test_difficulty_is_rescored_between_two_revisions(
    registry: Registry, run, add_queries, pupil: ScriptedServer
) -> None:
    add_queries(*sums(5, 25, 60, 90))
    stage = {"pass_rate": {"k": 16}}
    await run(recipe(pupil, stage, revision="step-1"))
    pupil.skill(70)  # type: ignore[attr-defined]
    await run(recipe(pupil, stage, revision="step-2"))
    with registry.engine.connect() as connection:
        [found] = compare_revisions(connection, "step-1", "step-2")
        assert len(pass_rates.list_measurements(connection)) == 2
        with pytest.raises(UserError, match="step-1 and step-9 have measured no query in the same way"):
            compare_revisions(connection, "step-1", "step-9")
    assert (found.queries, found.easier, found.harder) == (4, 1, 0)
    assert found.mean_after > found.mean_before
    assert sum(before for before, _ in found.levels.values()) == 4
    most = found.rescored[0]
    assert (most.after, most.rate_after, most.clear) == (1.0, 1.0, True)
    assert most.before > 5


async def test_tags_are_calibrated_against_the_policy_and_the_runs_own_answers(
    registry: Registry, run, add_queries, pupil: ScriptedServer
) -> None:
    add_queries(*sums(*range(5, 100, 5)))
    plain = recipe(pupil, {"pass_rate": {"k": 8}})
    plain["stages"][-3] = {"sample_off": {"k": 4}}
    found = await run(plain)
    with registry.engine.connect() as connection:
        policy, *own = calibrate(connection, found.id)
    assert policy.basis.startswith("kat@step-1 (auto, temperature 1")
    assert policy.queries == 19
    assert sum(b.queries for b in policy.bins) == 19
    assert set(policy.correlations) == {"one", "median"}
    assert policy.correlations["median"].rho < -0.6
    assert policy.correlations["one"] == policy.correlations["median"]
    assert [each.basis for each in own] == [FIRST, CANDIDATES]
    first, several = own
    assert first.queries == 19
    assert first.correlations["median"].rho < -0.4
    assert 0 < several.queries < 19
    assert several.bins[-1].mean < 1


async def test_a_run_without_tags_or_measurements_cannot_be_calibrated(
    registry: Registry, run, add_queries, easy_queries, lean
) -> None:
    add_queries(*easy_queries[:2])
    untagged = await run(lean())
    with registry.engine.connect() as connection, pytest.raises(UserError, match="has no tags"):
        calibrate(connection, untagged.id)


async def test_a_soft_label_serves_its_run_and_leaves_the_registry_alone(
    registry: Registry, run, look, add_queries, pupil: ScriptedServer
) -> None:
    add_queries(*sums(5, 90, reference=False))
    found = await run(recipe(pupil, {"soft_label": {"k": 5, "agreement": 0.6}}))
    assert look.ends(found.id) == {"accepted": 2}
    with registry.engine.connect() as connection:
        labels = connection.exec_driver_sql("SELECT reference, confidence FROM soft_labels ORDER BY 1").all()
        stored = connection.exec_driver_sql("SELECT DISTINCT reference, verifier::text FROM queries").all()
        rewards = connection.exec_driver_sql("SELECT DISTINCT reward, status FROM verdicts").all()
        confidence = connection.exec_driver_sql("SELECT max(confidence) FROM soft_labels").scalar_one()
        samples = [sample["id"] for sample in queries.list_samples(connection, found.id, 9)]
        gradings = rendered.load_samples(connection, samples)
    assert labels[0] == ("5", 1.0)
    assert labels[1].reference in {"90", "91"}
    assert stored == [(None, None)]
    assert {row.reward for row in rewards} == {None}
    assert "endorsed" in {row.status for row in rewards}
    assert [(each["reference_origin"], each["verifier"]["kind"]) for each in gradings] == [("soft", "math")] * 2
    assert {each["reference"] for each in gradings} == {label.reference for label in labels}
    assert confidence == 1.0


async def test_without_a_majority_the_answers_are_kept(
    registry: Registry, run, look, add_queries, pupil: ScriptedServer
) -> None:
    add_queries(*sums(90, reference=False))
    found = await run(recipe(pupil, {"soft_label": {"k": 8, "agreement": 1.0}}))
    assert look.reasons(found.id) == {"no_majority"}
    with registry.engine.connect() as connection:
        answers = connection.exec_driver_sql("SELECT answer, rank FROM soft_label_answers").all()
    assert len(answers) == 8
    assert {row.rank for row in answers} == {0, 1}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"revision": ""}, "role `policy`: model `policy` has no revision: set models.policy.revision to its"),
        ({"temperature": 0.0}, "role `policy`: at temperature 0 every rollout is the same"),
        ({"members": 2}, "role `policy` holds one model"),
    ],
)
def test_a_policy_that_cannot_be_measured_is_refused_with_the_recipe(change: dict[str, Any], problem: str) -> None:
    plain = recipe(ScriptedServer(), "pass_rate", revision=change.get("revision", "step-1"))
    member = {"model": "policy", "temperature": change.get("temperature", 1.0)}
    plain["roles"]["policy"] = [member] * change.get("members", 1)
    plain["endpoints"]["scripted"]["url"] = "http://127.0.0.1:1/v1"
    with pytest.raises(RecipeError, match=re.escape(problem)):
        parse_recipe(plain, "recipe.yaml")
