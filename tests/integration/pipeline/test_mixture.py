"""Runs that fill a mixture: what is let on, what is paid, and what is said of strata that stay short."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from kat_data.clock import SystemClock
from kat_data.domain.category import Category
from kat_data.domain.mixture import mixture_of
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.domain.states import RunState
from kat_data.errors import BudgetExhausted
from kat_data.pipeline.mixture import fillings
from kat_data.pipeline.publish import publish_run
from kat_data.registry import queries, runs
from kat_data.snapshots.mixture import compare
from kat_data.snapshots.read import open_snapshot
from kat_data.snapshots.verify.verify import verify
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient

pytestmark = pytest.mark.integration

SPEC = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["result"]})


def pool(category: Category, count: int) -> tuple[Query, ...]:
    return tuple(
        a_query(f"Tell me of the {category.value} result {n}.", reference=None, verifier=SPEC, category=category)
        for n in range(count)
    )


def stages(select: dict[str, Any]) -> list[Any]:
    return [
        "normalise", {"vote_mode": {"random_share": 0}}, {"select": select}, {"sample_off": {"k": 2}},
        {"sample_on": {"k": 2}}, "verify", "judge_mode",
    ]  # fmt: skip


@pytest.fixture
def filled(registry) -> Any:
    def read(row: runs.RunRow) -> dict[str, tuple[int, str]]:
        mixture = mixture_of(row.recipe)
        assert mixture is not None
        with registry.engine.connect() as connection:
            found = fillings(connection, row.id, mixture, row.state, row.reason)
        return {filling.stratum: (filling.samples, filling.state) for filling in found}

    return read


async def test_every_stratum_gets_its_samples_and_no_more(
    add_queries, lean, run, look, server, filled, registry, tmp_path
) -> None:
    add_queries(*pool(Category.GENERAL, 60), *pool(Category.SCIENCE, 60), *pool(Category.MATH, 60))
    counts = {"category=general mode=on": 7, "category=general mode=off": 5, "category=science": 9}
    row = await run(lean(stages=stages({"counts": counts})))
    assert row.state is RunState.FINISHED
    assert filled(row) == {
        "category=general mode=think_on": (7, "filled"),
        "category=general mode=think_off": (5, "filled"),
        "category=science": (9, "filled"),
    }
    assert look.ends(row.id) == {"accepted": 21, "dropped": 159}
    assert look.reasons(row.id) <= {"not_needed", "outside_mixture"}
    asked = Counter(body["messages"][-1]["content"].split(" result")[0].split()[-1] for body in server.bodies)
    assert asked["math"] == 0, "a category that no stratum wants costs no call"
    written = publish_run(registry, tmp_path, row.id, name=None, partial=False, clock=SystemClock())
    assert verify(written.path).problems == ()
    reached = compare(open_snapshot(written.path).distribution(), written.manifest.hashed.rows)
    assert {found.stratum: (found.rows, found.state) for found in reached.strata} == filled(row)
    assert reached.outside == 0


async def test_the_same_seed_chooses_the_same_queries(add_queries, lean, run, registry) -> None:
    add_queries(*pool(Category.GENERAL, 80))

    async def chosen(seed: int, concurrency: int) -> set[int]:
        plain = lean(seed=seed, stages=stages({"counts": {"mode=on": 6, "mode=off": 6}}), name=f"mix{seed}")
        plain["endpoints"]["scripted"]["concurrency"] = concurrency
        row = await run(plain)
        with registry.engine.connect() as connection:
            found = {sample["sample"]["turns"][0]["user"] for sample in queries.list_samples(connection, row.id, 99)}
        with registry.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE runs SET key = '\\x' || id::text::bytea WHERE id = %(id)s", {"id": row.id}
            )
        return found

    first = await chosen(1, 8)
    assert await chosen(1, 1) == first
    assert await chosen(2, 8) != first
    assert len(first) == 12


async def test_a_pool_that_ends_is_named(add_queries, lean, run, filled) -> None:
    add_queries(*pool(Category.GENERAL, 8), *pool(Category.SCIENCE, 30))
    row = await run(lean(stages=stages({"samples": 20, "shares": {"category=general": 0.5, "category=science": 0.5}})))
    assert row.state is RunState.FINISHED
    assert filled(row) == {"category=general": (8, "pool ended, 2 short"), "category=science": (10, "filled")}


async def test_an_ended_budget_is_named_and_the_run_goes_on_when_it_is_raised(
    add_queries, lean, run, filled, look
) -> None:
    add_queries(*pool(Category.GENERAL, 40))
    plain = lean(stages=stages({"counts": {"any": 30}}), budget={"usd": 0.02})
    with pytest.raises(BudgetExhausted):
        await run(plain)
    [row] = look.runs()
    [(samples, state)] = filled(row).values()
    assert samples < 30
    assert "budget" in state
    row = await run(plain | {"budget": {"usd": 5.0}})
    assert filled(row) == {"any": (30, "filled")}


async def test_hard_queries_bring_several_samples_each_with_its_own_analysis(
    add_queries, lean, run, registry, filled, server
) -> None:
    def varied(body: dict[str, Any]) -> Any:
        reply = obedient(body)
        schemaless = not (body.get("response_format") or {}).get("json_schema")
        return reply if not schemaless else type(reply)(
            text=f"The steps.\n\nThe result, as draw {body.get('seed')} has it.",
            finish_reason=reply.finish_reason, usage=reply.usage,
        )  # fmt: skip

    server.script = varied
    add_queries(*pool(Category.GENERAL, 20), *pool(Category.SCIENCE, 20))
    mixture = {"counts": {"category=science": 7, "category=general": 4}, "responses": {"category=science": 3}}
    row = await run(lean(stages=stages(mixture)))
    assert filled(row) == {"category=science": (7, "filled"), "category=general": (4, "filled")}
    with registry.engine.connect() as connection:
        samples = queries.list_samples(connection, row.id, 99)
        composition = queries.composition(connection, row.id)
    per_query = Counter(s["sample"]["turns"][0]["user"] for s in samples if s["category"] == "science")
    assert sorted(per_query.values()) == [1, 3, 3]
    assert len({s["hash"] for s in samples}) == 11
    assert all(s["sample"]["turns"][0]["judge_analysis"] for s in samples)
    assert {row["category"]: row["queries"] for row in composition} == {"general": 20, "science": 20}


async def test_a_killed_round_is_taken_up_again(add_queries, lean, run, look, filled, registry) -> None:
    """Items that were let on and never worked on are ready: nothing more is let on until they have ended."""
    add_queries(*pool(Category.GENERAL, 30))
    plain = lean(stages=stages({"counts": {"any": 10}}), budget={"usd": 0.0})
    with pytest.raises(BudgetExhausted):
        await run(plain)
    [row] = look.runs()
    assert look.ends(row.id)["ready"] == 10
    row = await run(plain | {"budget": {}})
    assert filled(row) == {"any": (10, "filled")}
    assert look.ends(row.id)["accepted"] == 10


async def test_pairs_are_accepted_without_an_answer_and_published(
    add_queries, lean, run, registry, tmp_path, look
) -> None:
    answerless = a_query("Say something.", reference=None, category=Category.GENERAL)
    add_queries(*pool(Category.GENERAL, 6), a_query("Hi", "Hello", "What is 1 + 1?"), answerless)
    plain = lean(
        stages=["normalise", {"pass_rate": {"k": 2, "prompted": True, "mode": "think_off"}},
                {"select": {"counts": {"pass_rate=0..1": 7, "any": 1}}}, "pair"],
        snapshot={"stage": "stage3"},
    )  # fmt: skip
    plain["models"]["policy"] = {"endpoint": "scripted", "model": "policy", "revision": "step-1"}
    plain["roles"] = {"policy": [{"model": "policy", "temperature": 1.0}]}
    row = await run(plain)
    assert look.ends(row.id) == {"accepted": 7, "dropped": 1}
    assert look.reasons(row.id) == {"no_verifier"}
    with registry.engine.connect() as connection:
        samples = queries.list_samples(connection, row.id, 99)
    assert {sample["mode"] for sample in samples} == {None}
    [several] = [sample["sample"] for sample in samples if sample["category"] == "math"]
    assert [message["content"] for message in several["messages"]] == ["Hi", "Hello", "What is 1 + 1?"]
    written = publish_run(registry, tmp_path, row.id, name=None, partial=False, clock=SystemClock())
    assert verify(written.path).problems == ()
    rows = list(open_snapshot(written.path).rows("train"))
    assert {row["mode"] for row in rows} == {""}
    assert {row["pass_rate"] for row in rows} <= {0.0, 0.5, 1.0}
    [sums] = [row for row in rows if row["category"] == "math"]
    assert [message["role"] for message in sums["prompt"]] == ["user", "assistant", "user"]
    assert (sums["verifier"]["kind"], sums["verifier"]["reference"]) == ("math", "42")


async def test_a_conversation_waits_once_and_counts_by_its_last_mode(add_queries, lean, run, look, filled) -> None:
    talks = [
        a_query(f"Tell me of result {n}.", "Yes.", f"And of result {n + 100}?", reference=None, verifier=SPEC,
                category=Category.MULTI_TURN)
        for n in range(20)
    ]  # fmt: skip
    add_queries(*talks)
    row = await run(lean(stages=stages({"counts": {"category=multi_turn": 6}})))
    assert filled(row) == {"category=multi_turn": (6, "filled")}
    assert look.ends(row.id) == {"accepted": 6, "dropped": 14}


async def test_a_conversation_that_ends_in_another_mode_fills_no_stratum_of_the_first(
    add_queries, lean, run, registry, filled
) -> None:
    talks = [
        a_query(f"Tell me of result {n}.", "Yes.", f"And of result {n + 100}?", reference=None, verifier=SPEC,
                category=Category.MULTI_TURN)
        for n in range(30)
    ]  # fmt: skip
    add_queries(*talks)
    row = await run(lean(stages=stages({"counts": {"category=multi_turn mode=on": 4}})))
    with registry.engine.connect() as connection:
        modes = Counter(sample["mode"] for sample in queries.list_samples(connection, row.id, 99))
    assert filled(row) == {"category=multi_turn mode=think_on": (modes["think_on"], "filled")}
    assert modes["think_on"] >= 4


BALANCED = {"counts": {"category=multi_turn switches=yes": 9, "category=multi_turn switches=no": 9}}


def conversations(count: int, turns: int = 2) -> tuple[Query, ...]:
    def said(n: int) -> list[str]:
        return [text for turn in range(turns) for text in (f"Tell me of result {n} at {turn}.", "Yes.")][:-1]

    return tuple(a_query(*said(n), reference=None, verifier=SPEC, category=Category.MULTI_TURN) for n in range(count))


@pytest.fixture
def sampled(registry) -> Any:
    """Read the samples of a run: what was asked and the modes of the turns, with the stratum that they count for."""

    def read(row: runs.RunRow) -> dict[tuple[tuple[str, str], ...], str]:
        sql = text("SELECT sample, stratum FROM samples WHERE run_id = :run")
        with registry.engine.connect() as connection:
            return {
                tuple((turn["user"], turn["mode"]) for turn in found.sample["turns"]): found.stratum
                for found in connection.execute(sql, {"run": row.id})
            }

    return read


async def test_transitions_are_balanced_and_the_snapshot_comes_to_the_mixture(
    add_queries, lean, run, registry, filled, sampled, look, tmp_path
) -> None:
    add_queries(*conversations(120), *pool(Category.GENERAL, 20))
    row = await run(lean(stages=stages(BALANCED)))
    brought = filled(row)
    assert {state for _, state in brought.values()} == {"filled"}
    for turns, stratum in sampled(row).items():
        switched = len({mode for _, mode in turns}) > 1
        assert stratum == f"category=multi_turn switches={'yes' if switched else 'no'}"
    accepted = look.ends(row.id)["accepted"]
    assert accepted == sum(samples for samples, _ in brought.values())
    assert 18 <= accepted <= 36, "rounds look for what is missing, and not through the whole pool"
    written = publish_run(registry, tmp_path, row.id, name=None, partial=False, clock=SystemClock())
    assert verify(written.path).problems == ()
    reached = compare(open_snapshot(written.path).distribution(), written.manifest.hashed.rows)
    assert {found.stratum: found.rows for found in reached.strata} == BALANCED["counts"]
    assert (reached.outside, written.surplus) == (0, accepted - 18)
    with registry.engine.connect() as connection:
        noted = connection.execute(text("SELECT count(*) FROM snapshot_rows")).scalar_one()
    assert noted == 18, "a sample that the snapshot does not take is not noted as one of its rows"
    again = publish_run(registry, tmp_path, row.id, name=None, partial=False, clock=SystemClock())
    assert (again.existed, again.surplus) == (True, written.surplus)


async def test_a_rare_transition_is_looked_for_in_rounds_with_the_same_end_after_a_stop(
    add_queries, lean, run, registry, filled, sampled, look
) -> None:
    """Of four turns one in eight conversations never switches: what that needs is told by what came."""
    add_queries(*conversations(200, turns=4))
    counts = {"counts": {"category=multi_turn switches=no": 4, "category=multi_turn switches=yes": 4}}
    stops = 0
    for usd in (0.01, 0.03, 0.05):
        try:
            await run(lean(stages=stages(counts), name="stopped", budget={"usd": usd}))
        except BudgetExhausted:
            stops += 1
    stopped = await run(lean(stages=stages(counts), name="stopped"))
    assert stops == 3
    whole = await run(lean(stages=stages(counts), name="whole"))
    assert stopped.id != whole.id
    assert {state for _, state in filled(whole).values()} == {"filled"}
    assert look.ends(whole.id)["accepted"] < 100
    assert sampled(stopped) == sampled(whole)


async def test_what_one_turn_cannot_reach_costs_no_answer_and_stays_short(
    add_queries, lean, run, filled, look, server
) -> None:
    """One turn neither switches nor stays, and everybody knows that before it is answered."""
    add_queries(*pool(Category.GENERAL, 5), *conversations(3))
    row = await run(lean(stages=stages({"counts": {"switches=no": 8, "switches=yes": 8}})))
    (stay, stay_state), (switch, switch_state) = filled(row).values()
    assert stay + switch == 3
    assert (stay_state, switch_state) == (f"pool ended, {8 - stay} short", f"pool ended, {8 - switch} short")
    assert look.ends(row.id) == {"accepted": 3, "dropped": 5}
    assert look.reasons(row.id) == {"outside_mixture"}
    answered = [body for body in server.bodies if "general" in body["messages"][-1]["content"]]
    assert all("json_schema" in (body.get("response_format") or {}) for body in answered), "votes, and no answers"


async def test_conversations_wait_together_for_all_their_transitions(add_queries, lean, run, filled, look) -> None:
    """Two turns that switch and end in think-on began with think-off: by its first mode none would be found."""
    add_queries(*conversations(80))
    counts = {
        f"category=multi_turn mode={mode} switches={switches}": 3
        for mode in ("on", "off")
        for switches in ("yes", "no")
    }
    row = await run(lean(stages=stages({"counts": counts})))
    assert {state for _, state in filled(row).values()} == {"filled"}
    assert look.ends(row.id)["accepted"] < 80


async def test_a_stratum_that_is_too_rare_is_given_up(add_queries, lean, run, filled, look, server) -> None:
    add_queries(*conversations(100), *pool(Category.GENERAL, 60))
    counts = {"category=multi_turn switches=yes domain=sailing": 5, "category=general mode=on": 4}
    tagged = ["normalise", "tag", *stages({"counts": counts, "patience": 10})[1:]]
    row = await run(lean(stages=tagged, roles=lean()["roles"] | {"taggers": [{"model": "one"}]}))
    assert list(filled(row).values()) == [(0, "too rare, given up, 5 short"), (4, "filled")]
    asked = {str(body["messages"][-1]["content"]) for body in server.bodies}
    assert sum(f"result {n} at 0." in text for n in range(100) for text in asked) < 100


async def test_patience_waits_for_what_is_merely_uncommon(add_queries, lean, run, filled) -> None:
    add_queries(*conversations(100))
    counts = {"category=multi_turn switches=yes": 6, "category=multi_turn switches=no": 6}
    row = await run(lean(stages=stages({"counts": counts, "patience": 12})))
    assert {state for _, state in filled(row).values()} == {"filled"}
