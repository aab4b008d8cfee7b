"""Whole runs against a scripted endpoint: what comes out, what is paid, and how they are stopped and taken up again."""

import asyncio
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.call import Reply
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Role, query_hash
from kat_data.domain.states import RunState
from kat_data.errors import (
    BudgetExhausted,
    RunInterrupted,
    UserError,
)
from kat_data.pipeline.publish import publish_run
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import queries, runs
from kat_data.registry.lineage import sample_lineage
from kat_data.snapshots.verify.verify import verify
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

EVERY_ROLE = (
    "taggers", "voters", "responder", "reasoner", "solver", "thinker", "critic", "judge", "panel",
)  # fmt: skip


def whole_recipe(url: str, **parts: Any) -> dict[str, Any]:
    """Every stage, two models."""
    models = {name: {"endpoint": "scripted", "model": name, "price": {"prompt": 1.0}} for name in ("one", "two")}
    members = [{"model": name, "temperature": 0.7} for name in models]
    return {
        "name": "whole",
        "seed": 11,
        "endpoints": {"scripted": {"url": url, "concurrency": 16, "retries": 1}},
        "models": models,
        "roles": dict.fromkeys(EVERY_ROLE, members),
        "stages": [
            "normalise",
            "tag",
            {"vote_mode": {"only": ["math"], "random_share": 0.2}},
            "route_mode",
            {"sample_off": {"k": 3}},
            {"sample_on": {"k": 3, "only": ["math", "multi_turn"]}},
            {"reason_on": {"rounds": 2, "only": ["general"]}},
            "verify",
            "judge_mode",
        ],
        **parts,
    }


def forty_queries() -> list[Any]:
    sums = [a_query(f"What is {n} + {7 * n}?", reference=str(8 * n)) for n in range(24)]
    open_ended = [
        a_query(f"Tell me of {n} things.", reference=None, category=Category.GENERAL, system="Be brief.")
        for n in range(10)
    ]
    several_turns = [
        a_query(f"What is {n} + 1?", "?", f"And {n} + 2?", reference=str(n + 2), category=Category.MULTI_TURN)
        for n in range(6)
    ]
    return sums + open_ended + several_turns


async def test_a_whole_run_then_again_then_with_one_query_more(
    registry, server, run, add_queries, tmp_path, look
) -> None:
    add_queries(*forty_queries())
    recipe = whole_recipe(server.url)
    first = await run(recipe)
    counts = look.ends(first.id)
    assert (first.state, first.queries) == (RunState.FINISHED, 40)
    assert counts["accepted"] + counts["dropped"] == 40
    assert min(counts["accepted"], counts["dropped"]) > 2
    with registry.engine.connect() as connection:
        composition = queries.composition(connection, first.id)
        cost = queries.run_cost(connection, first.id)
        samples = queries.list_samples(connection, first.id, 100)
    assert sum(row["think_on"] for row in composition) > 2
    assert sum(row["think_off"] for row in composition) > 2
    assert {row["category"] for row in composition} == {"math", "general", "multi_turn"}
    assert {len(sample["sample"]["turns"]) for sample in samples} == {1, 2}
    assert server.statistics.duplicates == 0
    assert cost.made == server.statistics.requests
    assert cost.usd == pytest.approx(cost.usd_used)

    paid = server.statistics.requests
    again = await run(recipe)
    assert (again.id, again.state) == (first.id, RunState.FINISHED)
    assert server.statistics.requests == paid
    assert look.ends(first.id) == counts

    add_queries(a_query("What is 1000 + 1?", reference="1001"))
    more = await run(recipe)
    assert more.id != first.id
    assert sum(look.ends(more.id).values()) == 41
    new_bodies = server.bodies[paid:]
    assert new_bodies
    assert all("What is 1000 + 1?" in str(body["messages"]) for body in new_bodies)
    with registry.engine.connect() as connection:
        assert queries.run_cost(connection, more.id).reused == paid

    written = publish_run(registry, tmp_path, first.id, name=None, partial=False, clock=SystemClock())
    assert written.label == "whole@1"
    assert verify(written.path).ok
    assert written.manifest.hashed.rows == counts["accepted"]
    assert publish_run(registry, tmp_path, first.id, name=None, partial=False, clock=SystemClock()).existed
    with registry.engine.connect() as connection:
        lineage = sample_lineage(connection, str(samples[0]["id"]))
    assert [(found["name"], found["version"]) for found in lineage["snapshots"]] == [("whole", 1)]


async def test_a_budget_holds_and_a_higher_one_resumes(
    server, lean, run, add_queries, easy_queries, look, assert_resumes
) -> None:
    add_queries(*easy_queries)
    with pytest.raises(BudgetExhausted, match=r"the budget of \$0\.01 is reached: .* raise the budget in the recipe"):
        await run(lean(budget={"usd": 0.01}))
    [row] = look.runs()
    assert row.state is RunState.STOPPED
    assert 0.004 < look.spent(row.id) <= 0.01
    assert look.ends(row.id)["ready"] > 0
    with pytest.raises(BudgetExhausted):
        await run(lean(budget={"usd": 0.01}))
    assert look.spent(row.id) <= 0.01
    await assert_resumes(lean(budget={"usd": 1.0}), row.id)
    assert server.statistics.duplicates == 0
    assert server.statistics.requests == 36


async def test_tokens_are_capped_as_well(server, lean, run, add_queries, easy_queries, look, assert_resumes) -> None:
    add_queries(*easy_queries)
    with pytest.raises(BudgetExhausted, match="the budget of 3,000 tokens is reached"):
        await run(lean(budget={"tokens": 3000}))
    [row] = look.runs()
    await assert_resumes(lean(), row.id)


async def test_cancelling_ends_a_run_soon_and_it_can_be_resumed(registry, run, lean, add_queries, look) -> None:
    add_queries(*(a_query(f"Question {n}", reference=None) for n in range(60)))
    served = 0

    def script(body: dict[str, Any]) -> Reply:
        nonlocal served
        served += 1
        if served == 20:
            [row] = look.runs()
            with registry.engine.begin() as connection:
                runs.set_state(connection, row.id, RunState.CANCELLED, "enough")
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted, match="was cancelled; go on with `kat runs resume"):
            await run(lean(url=server.url))
        [cancelled] = look.runs()
        assert (cancelled.state, cancelled.reason) == (RunState.CANCELLED, "enough")
        assert look.ends(cancelled.id)["ready"] > 30
        finished = await run(lean(url=server.url))
        assert (finished.id, finished.state) == (cancelled.id, RunState.FINISHED)
        assert server.statistics.duplicates == 0
    assert sum(look.ends(finished.id).values()) == 60
    assert "ready" not in look.ends(finished.id)


async def test_a_stop_ends_items_after_their_calls_in_flight(
    run, lean, add_queries, easy_queries, look, assert_resumes
) -> None:
    add_queries(*easy_queries)
    stop = asyncio.Event()

    def script(body: dict[str, Any]) -> Reply:
        stop.set()
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted):
            await run(lean(url=server.url), stop=stop)
        [row] = look.runs()
        assert row.state is RunState.STOPPED
        assert server.statistics.requests <= 8
        assert look.ends(row.id) == {"ready": 12}
        await assert_resumes(lean(url=server.url), row.id)
        assert server.statistics.requests == 36


async def test_messages_that_say_nothing_are_the_same_nothing_after_a_stop(
    registry, run, lean, add_queries, look
) -> None:
    add_queries(a_query("What is 1 + 1?", "\u200b", "And 1 + 2?", system=" ", reference="3"))
    stop = asyncio.Event()

    def script(body: dict[str, Any]) -> Reply:
        stop.set()
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted):
            await run(lean(url=server.url), stop=stop)
        row = await run(lean(url=server.url))
    assert look.ends(row.id) == {"accepted": 1}
    with registry.engine.connect() as connection:
        [sample] = queries.list_samples(connection, row.id, 10)
        lineage = sample_lineage(connection, str(sample["id"]))
    assert sample["sample"]["system"] is None
    messages = tuple(Message(role=Role.USER, content=text) for text in ("What is 1 + 1?", "And 1 + 2?"))
    assert lineage["query"]["messages"] == [{"role": m.role, "content": m.content} for m in messages]
    assert lineage["query"]["hash"] == query_hash(messages, ()).hex()


async def test_processes_that_take_up_the_same_run_share_it(run, lean, add_queries, easy_queries, look) -> None:
    add_queries(*easy_queries)
    one, other = await asyncio.gather(run(lean()), run(lean()))
    assert one.id == other.id
    assert (one.state, other.state) == (RunState.FINISHED, RunState.FINISHED)
    assert look.ends(one.id) == {"accepted": 12}


async def test_two_processes_open_one_run_at_the_same_moment(registry, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    recipe = parse_recipe(lean(), "recipe.yaml")
    first, _ = open_run(registry, recipe)
    opened = []
    with registry.connection() as other:
        other.execute("UPDATE runs SET recipe = recipe")
        thread = Thread(target=lambda: opened.append(open_run(registry, recipe)))
        thread.start()
        with registry.connection(autocommit=True) as watch:
            while watch.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
                assert thread.is_alive()
        other.commit()
    thread.join()
    assert [(row.id, is_new) for row, is_new in opened] == [(first.id, False)]


async def test_a_run_goes_on_when_one_of_its_processes_is_interrupted(
    run, lean, add_queries, easy_queries, look
) -> None:
    add_queries(*easy_queries)
    stop, both = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(run(lean(), stop=stop, observe=lambda _: both.set()))
    await both.wait()
    second = asyncio.create_task(run(lean()))
    stop.set()
    with pytest.raises(RunInterrupted):
        await first
    assert (await second).state is RunState.FINISHED
    assert look.ends((await second).id) == {"accepted": 12}


async def test_only_a_finished_run_is_published_unless_it_is_wanted_partial(
    registry, run, lean, add_queries, easy_queries, tmp_path: Path, look
) -> None:
    add_queries(*easy_queries)
    stop, served = asyncio.Event(), 0

    def script(body: dict[str, Any]) -> Reply:
        nonlocal served
        served += 1
        if served == 30:
            stop.set()
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted):
            await run(lean(url=server.url), stop=stop)
    [row] = look.runs()
    publish: dict[str, Any] = {"name": "part", "clock": SystemClock()}
    with pytest.raises(UserError, match=f"run {row.id} is stopped: finish it with `kat runs resume {row.id}`"):
        publish_run(registry, tmp_path, row.id, partial=False, **publish)
    written = publish_run(registry, tmp_path, row.id, partial=True, **publish)
    assert written.label == "part@1"
    assert 0 < written.manifest.hashed.rows == look.ends(row.id)["accepted"] < 12
