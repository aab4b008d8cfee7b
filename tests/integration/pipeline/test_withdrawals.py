"""Withdrawals beside runs that are opened and worked on, and beside snapshots that are built."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.query import Query
from kat_data.domain.states import RunState
from kat_data.errors import UserError
from kat_data.executors.local import execute_run
from kat_data.pipeline.publish import publish_run
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.pipeline.selected_rows import Tell
from kat_data.registry import runs, withdrawals
from kat_data.registry.imports import import_queries
from kat_data.registry.named_queries import find_queries
from kat_data.registry.session import Registry
from kat_data.registry.withdrawals import Why, Withdrawal
from kat_data.snapshots import read
from kat_data.testing.patience import until

pytestmark = pytest.mark.integration

WHY = Why(reason="takedown", by="ana")


@pytest.fixture
def withdraw(registry: Registry) -> Callable[..., Withdrawal]:
    def withdraw_(*queries: Query) -> Withdrawal:
        with registry.engine.begin() as connection:
            found = find_queries(connection, [query.hash.hex() for query in queries])
            return withdrawals.withdraw_queries(connection, found.queries, WHY)

    return withdraw_


def test_what_is_begun_while_queries_are_withdrawn_comes_after_it(registry, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    recipe = parse_recipe(lean(url="http://127.0.0.1:1/v1"), "recipe.yaml")
    found: list[Any] = []

    def import_again() -> None:
        items = [(1, easy_queries[0])]
        described = {"licence": "MIT", "file_name": "late", "preset": "plain", "fingerprint": b"late"}
        found.append(import_queries(registry, items, source="late", **described).withdrawn)

    for work in (lambda: found.append(open_run(registry, recipe)[0].queries), import_again):
        with registry.engine.begin() as connection:
            named = find_queries(connection, [easy_queries[0].hash.hex()])
            withdrawals.withdraw_queries(connection, named.queries, WHY)
            thread = Thread(target=work)
            thread.start()
            with registry.connection(autocommit=True) as watch:
                while watch.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
                    assert thread.is_alive()
        thread.join()
    assert found == [11, 1]


async def test_a_run_under_way_goes_on_without_what_is_withdrawn(
    registry, server, run, lean, add_queries, easy_queries, look, withdraw, tmp_path: Path
) -> None:
    add_queries(*easy_queries)
    server.hold(after=8)
    working = asyncio.create_task(run(lean()))
    await asyncio.to_thread(until, lambda: server.statistics.requests == 8 + 8, "as many again are under way")
    done = await asyncio.to_thread(withdraw, *easy_queries[:5])
    server.release()
    finished = await working
    assert finished.state is RunState.FINISHED
    accepted = 12 - sum(row["items"] for row in done.dropped)
    assert look.ends(finished.id) == {"accepted": accepted, "dropped": 12 - accepted}
    assert look.reasons(finished.id) == {"withdrawn"}
    written = publish_run(registry, tmp_path, finished.id, name=None, partial=False, clock=SystemClock())
    rows = {row["query"] for row in read.open_snapshot(written.path).rows()}
    assert rows == {query.hash.hex() for query in easy_queries[5:]}


async def test_a_snapshot_is_built_without_what_is_withdrawn_and_named_where_it_holds_some(
    registry, run, lean, add_queries, easy_queries, withdraw, tmp_path: Path
) -> None:
    add_queries(*easy_queries[:4])
    finished = await run(lean())

    def publish(tell: Tell = lambda step, done, total: None) -> tuple[int, int]:
        written = publish_run(registry, tmp_path, finished.id, name=None, partial=False, clock=SystemClock(), tell=tell)
        return written.manifest.hashed.rows, written.withdrawn

    def named(*queries: Query) -> list[tuple[int, int]]:
        """Withdraw the queries, and return the versions that are named, each with its rows of them."""
        withdrawal = withdraw(*queries).id
        with registry.engine.connect() as connection:
            return [(s["version"], s["rows"]) for s in withdrawals.holders(connection, withdrawal)["snapshots"]]

    assert named(easy_queries[0]) == []
    assert publish() == (3, 0)
    assert named(*easy_queries[:2]) == [(1, 1)]
    meanwhile: list[Withdrawal] = []
    assert publish(lambda *_: meanwhile or meanwhile.append(withdraw(easy_queries[3]))) == (2, 1)
    with registry.engine.connect() as connection:
        holders = withdrawals.holders(connection, meanwhile[0].id)["snapshots"]
    assert [(row["version"], row["rows"]) for row in holders] == [(1, 1), (2, 1)]
    assert publish() == (1, 0)


async def test_undone_a_finished_run_goes_on_with_what_it_gets_back(
    registry, lean, add_queries, easy_queries, look, withdraw, tmp_path: Path
) -> None:
    add_queries(*easy_queries[:4])
    ident = open_run(registry, parse_recipe(lean(), "recipe.yaml"))[0].id
    done = withdraw(easy_queries[0])
    row = look.stored(ident)
    assert (await execute_run(registry, row, clock=SystemClock())).state is RunState.FINISHED
    with registry.engine.begin() as connection:
        withdrawals.undo(connection, done.id, WHY)
    assert look.ends(ident) == {"accepted": 3, "ready": 1}

    def publish() -> int:
        written = publish_run(registry, tmp_path, ident, name=None, partial=False, clock=SystemClock())
        return written.manifest.hashed.rows

    with pytest.raises(UserError, match=f"run {ident} is open: finish it with `kat runs resume {ident}`"):
        publish()
    with registry.engine.begin() as connection:
        runs.set_state(connection, ident, RunState.FINISHED)  # as it was left before it was opened again
    with pytest.raises(UserError, match=f"1 items of run {ident} have not ended: finish it with `kat runs resume"):
        publish()
    assert (await execute_run(registry, row, clock=SystemClock())).state is RunState.FINISHED
    assert look.ends(ident) == {"accepted": 4}
    assert publish() == 4
