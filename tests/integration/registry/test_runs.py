"""Runs: which is the same, how their funnels add up, where they may move, and what stands behind a sample."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from kat_data.clock import SystemClock
from kat_data.domain.category import Category
from kat_data.domain.states import ItemState, RunState
from kat_data.errors import NotFoundError, UserError
from kat_data.registry import queries, runs
from kat_data.registry.choice import Choice, count_chosen
from kat_data.registry.runs import FunnelRow, WantedRun
from kat_data.registry.session import Registry
from kat_data.registry.worker import Attempt, Claim, Move, Step, Worker
from kat_data.testing import a_query

pytestmark = pytest.mark.integration

STAGES = ("verify", "first")


def open_again(registry: Registry, **changes: Any) -> tuple[runs.RunRow, bool]:
    values: dict[str, Any] = {
        "name": "test",
        "recipe": {"name": "test", "budget": {"usd": 1}},
        "identity": {"seed": 1},
        "first_stage": "first",
    }
    choice = Choice(**{name: changes.pop(name) for name in Choice.__dataclass_fields__ if name in changes})
    with registry.engine.begin() as connection:
        return runs.open_run(connection, WantedRun(**values | changes), choice)


def end(claim: Claim, state: ItemState, reason: str | None = None) -> Step:
    attempt = Attempt(
        stage="verify", started_at=datetime(2026, 1, 1, tzinfo=UTC), seconds=0.0, outcome="done", calls=()
    )
    return Step(claim=claim, attempt=attempt, move=Move(stage="verify", turn=0, state=state, reason=reason))


def move(registry: Registry, run: int, state: RunState, reason: str | None = None) -> None:
    with registry.engine.begin() as connection:
        runs.set_state(connection, run, state, reason)


def test_queries_of_other_licences_are_left_out_and_counted(registry, add_queries) -> None:
    add_queries(a_query("one"), a_query("two"))
    add_queries(a_query("three"), source="closed", licence="CC-BY-NC-4.0")
    add_queries(a_query("four", category=Category.GENERAL), source="other", licence="MIT License")
    row, _ = open_again(registry, licences=("apache 2.0", "mit"))
    left = {"reason": "licence_not_allowed", "source": "closed", "licence": "CC-BY-NC-4.0", "queries": 1}
    assert (row.queries, row.left_out) == (3, [left])
    with pytest.raises(
        UserError, match=r"no query with licences GPL-3\.0: those that it has are under Apache-2\.0, CC-BY-NC"
    ):
        open_again(registry, licences=("GPL-3.0",))


def test_what_is_left_out_is_of_the_sources_and_categories_that_were_asked_for(registry, add_queries) -> None:
    add_queries(a_query("one"))
    add_queries(a_query("two", category=Category.GENERAL), a_query("three"), source="closed", licence="CC-BY-NC-4.0")
    row, _ = open_again(registry, licences=("apache-2.0",), categories=("math",))
    assert [left["queries"] for left in row.left_out] == [1]
    row, _ = open_again(registry, licences=("apache-2.0",), sources=("test",))
    assert (row.queries, row.left_out) == (1, [])


def test_a_run_opened_again_says_what_is_left_out_now(registry, add_queries) -> None:
    add_queries(a_query("one"))
    first, _ = open_again(registry, licences=("apache-2.0",))
    add_queries(a_query("two"), source="closed", licence="none")
    again, new = open_again(registry, licences=("apache-2.0",))
    assert (again.id, new) == (first.id, False)
    assert [left["licence"] for left in again.left_out] == ["none"]


def test_the_same_recipe_over_the_same_queries_is_the_same_run(registry, add_queries) -> None:
    add_queries(a_query("one"), a_query("two"))
    first, new = open_again(registry)
    assert (new, first.queries, first.state, first.reason) == (True, 2, RunState.OPEN, None)
    again, new = open_again(registry)
    assert (again, new) == (first, False)
    other, new = open_again(registry, identity={"seed": 2})
    assert new
    assert other.id != first.id


def test_one_query_more_is_another_run(registry, add_queries) -> None:
    add_queries(a_query("one"))
    first, _ = open_again(registry)
    add_queries(a_query("two"))
    second, new = open_again(registry)
    assert new
    assert (first.queries, second.queries) == (1, 2)
    with registry.engine.connect() as connection:
        assert runs.unfinished(connection, first.id) == 1
        assert runs.unfinished(connection, second.id) == 2
        assert [run.id for run in runs.list_runs(connection)] == [second.id, first.id]


def test_what_is_imported_while_a_run_opens_is_not_of_the_run(registry, add_queries) -> None:
    add_queries(a_query("one"))

    @event.listens_for(registry.engine, "after_cursor_execute")
    def import_one_more(connection, cursor, statement, *_: Any) -> None:
        if "sha256" in statement:
            add_queries(a_query("two"))

    row, _ = open_again(registry)
    with registry.engine.connect() as connection:
        assert runs.unfinished(connection, row.id) == row.queries == 1


def test_a_resumed_run_takes_the_new_budget(registry, add_queries) -> None:
    add_queries(a_query("one"))
    open_again(registry)
    again, new = open_again(registry, recipe={"name": "test", "budget": {"usd": 2}})
    assert not new
    assert again.recipe["budget"] == {"usd": 2}


def test_queries_are_chosen_by_source_category_and_limit(registry, add_queries) -> None:
    add_queries(*(a_query(f"maths {n}") for n in range(4)), a_query("chat", category=Category.GENERAL))

    def chosen(**choice: Any) -> int:
        with registry.engine.begin() as connection:
            count = count_chosen(connection, Choice(**choice))
        row, _ = open_again(registry, identity=choice, **choice)
        assert row.queries == count
        return count

    assert chosen(sources=["test"]) == 5
    assert chosen(categories=["general"]) == 1
    assert chosen(categories=["math", "general"], limit=3) == 3
    with pytest.raises(UserError, match="no query with sources nowhere and categories code: import some"):
        open_again(registry, sources=["nowhere"], categories=["code"])


def test_the_first_queries_are_the_same_whatever_order_they_came_in(registry, add_queries) -> None:
    add_queries(*(a_query(f"maths {n}") for n in range(6)))
    first, _ = open_again(registry, limit=3)
    with registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE queries SET line = line + 1")  # another order on disk
    again, new = open_again(registry, limit=3)
    assert (again.id, new) == (first.id, False)


async def test_the_funnel_adds_up_while_it_runs_and_after(registry, open_run) -> None:
    run = open_run(sums=7)
    async with await Worker.start(registry, SystemClock()) as worker:
        a, b, c, d, e, *_ = await worker.claim(run.id, 7, STAGES)
        await worker.commit(end(a, ItemState.ACCEPTED))
        await worker.commit(end(b, ItemState.DROPPED, "wrong_answer"))
        await worker.commit(end(c, ItemState.DROPPED, "wrong_answer"))
        await worker.commit(end(d, ItemState.DROPPED, "reply_cut"))
        await worker.commit(end(e, ItemState.DEAD, "EndpointFault"))
    expected = {
        FunnelRow(stage="verify", state="accepted", reason=None, items=1),
        FunnelRow(stage="verify", state="dropped", reason="wrong_answer", items=2),
        FunnelRow(stage="verify", state="dropped", reason="reply_cut", items=1),
        FunnelRow(stage="verify", state="dead", reason="EndpointFault", items=1),
    }
    with registry.engine.begin() as connection:
        running = runs.funnel(connection, run.id)
        assert set(running) == {*expected, FunnelRow(stage="first", state="ready", reason=None, items=2)}
        assert sum(row.items for row in running) == run.queries
        connection.exec_driver_sql("UPDATE work_items SET state = 'accepted', stage = 'verify' WHERE state = 'ready'")
        runs.fold_counters(connection, run.id)
        runs.set_state(connection, run.id, RunState.FINISHED)
        connection.exec_driver_sql("UPDATE work_items SET state = 'dead'")  # the counters are read, not the items
        finished = runs.funnel(connection, run.id)
    assert sum(row.items for row in finished) == run.queries
    assert {row.reason for row in finished} == {None, "wrong_answer", "reply_cut", "EndpointFault"}


def test_runs_move_as_the_table_says(registry, open_run) -> None:
    run = open_run().id
    move(registry, run, RunState.STOPPED, "endpoint down")
    with registry.engine.connect() as connection:
        stopped = runs.get_run(connection, run)
    assert (stopped.state, stopped.reason, stopped.finished_at) == (RunState.STOPPED, "endpoint down", None)
    with pytest.raises(UserError, match=f"run {run} is stopped: it cannot become finished"):
        move(registry, run, RunState.FINISHED)
    for state in (RunState.OPEN, RunState.CANCELLED, RunState.CANCELLED, RunState.OPEN, RunState.FINISHED):
        move(registry, run, state)
    with registry.engine.connect() as connection:
        finished = runs.get_run(connection, run)
    assert (finished.state, finished.reason) == (RunState.FINISHED, None)
    assert finished.finished_at is not None
    with pytest.raises(UserError, match="it cannot become cancelled"):
        move(registry, run, RunState.CANCELLED)
    with pytest.raises(NotFoundError, match="no run 12345: `kat runs list` shows them"):
        move(registry, 12345, RunState.OPEN)


async def test_a_cancelled_run_gives_nothing_to_claim(registry, open_run) -> None:
    run = open_run(sums=3)
    async with await Worker.start(registry, SystemClock()) as worker:
        assert len(await worker.claim(run.id, 1, STAGES)) == 1
        move(registry, run.id, RunState.CANCELLED)
        assert await worker.claim(run.id, 10, STAGES) == []
        assert await worker.waiting(run.id, STAGES) == (False, 0.0)
        move(registry, run.id, RunState.OPEN)
        assert len(await worker.claim(run.id, 10, STAGES)) == 2


async def test_dead_items_are_revived(registry, open_run) -> None:
    run = open_run(sums=3)
    async with await Worker.start(registry, SystemClock()) as worker:
        a, b, c = await worker.claim(run.id, 3, STAGES)
        await worker.commit(end(a, ItemState.DEAD, "VerifierFault"))
        await worker.commit(end(b, ItemState.DEAD, "VerifierFault"))
        await worker.commit(end(c, ItemState.DROPPED, "wrong_answer"))
        with registry.engine.begin() as connection:
            runs.fold_counters(connection, run.id)
            runs.set_state(connection, run.id, RunState.FINISHED)
        with registry.engine.begin() as connection:
            assert runs.revive_dead(connection, run.id) == 2
            runs.set_state(connection, run.id, RunState.OPEN)
            assert runs.unfinished(connection, run.id) == 2
            assert runs.revive_dead(connection, run.id) == 0
            assert sum(row.items for row in runs.funnel(connection, run.id)) == 3
        claims = await worker.claim(run.id, 3, STAGES)
    assert {claim.query for claim in claims} == {a.query, b.query}
    assert {(claim.attempts, claim.stage) for claim in claims} == {(0, "verify")}


async def test_what_a_run_came_to(registry, open_run, an_accepted_sample) -> None:
    run = open_run(a_query("What is 6 * 7?"), a_query("Hi", reference=None, category=Category.GENERAL))
    claim = await an_accepted_sample(run)
    accepted = claim.draft.query.category.value
    with registry.engine.connect() as connection:
        cost = queries.run_cost(connection, run.id)
        composition = {row["category"]: row for row in queries.composition(connection, run.id)}
        assert queries.models_of(connection, run.id) == [
            {"model": "scripted", "calls": 1, "usd": 0.5, "prompt_tokens": 10, "completion_tokens": 5}
        ]
    assert (cost.made, cost.reused, cost.usd, cost.usd_used, cost.completion_tokens) == (1, 0, 0.5, 0.5, 5)
    assert {name: row["think_off"] for name, row in composition.items()} == {
        name: int(name == accepted) for name in ("general", "math")
    }
