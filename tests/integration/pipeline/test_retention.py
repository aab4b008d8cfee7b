"""Pruned calls: what goes, what stays, and what is paid for again."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kat_data.cli.output import rounded
from kat_data.clock import SystemClock
from kat_data.domain.states import RunState
from kat_data.errors import BudgetExhausted, NotFoundError, UserError
from kat_data.pipeline.publish import publish_run
from kat_data.registry import queries, retention, runs
from kat_data.registry.lineage import sample_lineage
from kat_data.registry.overview import run_overview
from kat_data.registry.retention import Pruned, prune_calls
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

NOW = timedelta(0)
Lean = Callable[..., dict[str, Any]]


class Books:
    """What the registry says of a run's calls."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def account(self, run: int) -> list[dict[str, Any]]:
        with self._registry.engine.connect() as connection:
            cost, models = asdict(queries.run_cost(connection, run)), queries.models_of(connection, run)
        return [rounded(row) for row in (cost, *models)]  # sums depend on their order

    def spent(self, run: int) -> Any:
        with self._registry.engine.connect() as connection:
            found = run_overview(connection, run)
        return round(found.usd, 9), found.tokens

    def calls(self, run: int) -> list[dict[str, Any]]:
        """The calls behind the run's first sample, but for their bodies."""
        with self._registry.engine.connect() as connection:
            first = min(sample["id"] for sample in queries.list_samples(connection, run, 100))
            found = sample_lineage(connection, str(first))["calls"]
        return [{name: value for name, value in call.items() if name not in ("request", "reply")} for call in found]

    def count(self, where: str, table: str = "calls") -> int:
        with self._registry.connection() as connection:
            row = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
        return row[0] if row else 0


@pytest.fixture
def books(registry: Registry) -> Books:
    return Books(registry)


@pytest.fixture
async def finished(add_queries: Any, easy_queries: Any, run: Any, lean: Lean) -> RunRow:
    add_queries(*easy_queries)
    row: RunRow = await run(lean())
    return row


def unpruned(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [call | {"pruned": None} for call in calls]


async def test_without_requests_nothing_is_paid_again(
    registry: Registry, finished: RunRow, books: Books, run: Any, lean: Lean, server: ScriptedServer, tmp_path: Path
) -> None:
    def publish(root: str) -> str:
        written = publish_run(registry, tmp_path / root, finished.id, name="x", partial=False, clock=SystemClock())
        return written.manifest.hashed.content_hash

    asked, account, calls, before = (
        server.statistics.requests, books.account(finished.id), books.calls(finished.id), publish("before"),
    )  # fmt: skip
    found = prune_calls(registry, NOW)
    assert (found.calls, found.payable_again, found.kept) == (books.count("true"), 0, 0)
    assert found.bytes > 0
    assert books.count("request IS NOT NULL OR reply IS NULL") == 0
    assert (books.account(finished.id), publish("after")) == (account, before)
    assert {call["pruned"] for call in books.calls(finished.id)} == {"request"}
    assert unpruned(books.calls(finished.id)) == calls
    another = await run(lean(name="another"))
    assert books.account(another.id)[0]["made"] == 0
    assert server.statistics.requests == asked
    assert prune_calls(registry, NOW) == Pruned(calls=0, bytes=0, payable_again=0, kept=0)


async def test_without_replies_keys_are_paid_again_and_the_old_books_stay_closed(
    registry: Registry, finished: RunRow, books: Books, run: Any, lean: Lean, server: ScriptedServer
) -> None:
    asked, account, calls = server.statistics.requests, books.account(finished.id), books.calls(finished.id)
    spent = books.spent(finished.id)
    found = prune_calls(registry, NOW, replies=True)
    assert (found.calls, found.payable_again, found.kept) == (asked, asked, 0)
    assert books.count("true") == 0
    for _ in range(2):  # before and after the same keys are paid again
        assert books.account(finished.id) == account
        assert books.spent(finished.id) == spent
        assert unpruned(books.calls(finished.id)) == calls
        assert {call["pruned"] for call in books.calls(finished.id)} == {"request and reply"}
        another = await run(lean(name="another"))
    assert books.account(another.id)[0]["made"] == asked
    assert server.statistics.requests == 2 * asked
    assert {call["pruned"] for call in books.calls(another.id)} == {None}
    assert {call["paid_by_run"] for call in books.calls(another.id)} == {another.id}
    prune_calls(registry, NOW, replies=True)  # the second generation follows the first
    assert books.count("true", "pruned_calls") == 2 * asked
    assert (books.spent(finished.id), books.spent(another.id)) == (spent, spent)
    assert books.account(finished.id) == account
    assert {call["paid_by_run"] for call in books.calls(another.id)} == {another.id}


async def test_what_unfinished_items_may_ask_for_is_kept(
    registry: Registry, finished: RunRow, books: Books, run: Any, lean: Lean, server: ScriptedServer, look: Any
) -> None:
    asked = server.statistics.requests
    with pytest.raises(BudgetExhausted):
        await run(lean(seed=6, budget={"tokens": 3000}))
    [stopped] = [row for row in look.runs() if row.state is RunState.STOPPED]
    theirs = books.count(f"run_id = {stopped.id} AND state = 'done'")
    found = prune_calls(registry, NOW, replies=True)
    assert (found.calls, found.kept) == (0, asked)  # every item of the stopped run is of a query of the finished one
    with pytest.raises(UserError, match=f"run {stopped.id} is stopped, and may need its calls: finish it"):
        prune_calls(registry, NOW, run=stopped.id)
    assert prune_calls(registry, NOW).calls == asked
    assert books.count(f"run_id = {stopped.id} AND (request IS NULL OR state = 'done' AND reply IS NULL)") == 0
    with registry.engine.begin() as connection:
        runs.set_state(connection, stopped.id, RunState.CANCELLED)
    found = prune_calls(registry, NOW, replies=True)
    assert (found.calls, found.kept) == (0, asked)  # a cancelled run can be resumed
    assert books.count(f"run_id = {stopped.id} AND state = 'done'") == theirs > 0
    assert prune_calls(registry, NOW, run=stopped.id, replies=True).calls == theirs  # its own go where it is named


async def test_a_run_that_is_taken_up_meanwhile_keeps_what_it_needs(
    registry: Registry, finished: RunRow, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "WINDOW", 7)

    def take_up(done: int, total: int) -> None:  # after the first window
        with registry.connection(autocommit=True) as connection:
            connection.execute(
                "INSERT INTO runs (key, name, recipe, state, queries) VALUES ('new', 'new', '{}', 'open', 1)"
                " ON CONFLICT DO NOTHING"
            )
            connection.execute(
                "INSERT INTO work_items (run_id, query_id, stage, state)"
                " SELECT max(runs.id), query_id, stage, 'ready' FROM work_items, runs GROUP BY query_id, stage"
                " ON CONFLICT DO NOTHING"
            )

    total = books.count("true")
    found = prune_calls(registry, NOW, replies=True, observe=take_up)
    assert 0 < found.calls == total - books.count("true") < total


async def test_only_old_calls_of_the_run_go_window_by_window(
    registry: Registry, finished: RunRow, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "WINDOW", 7)
    total = books.count("true")
    with registry.connection(autocommit=True) as connection:
        connection.execute("UPDATE calls SET settled_at = now() - interval '90 days' WHERE id % 3 = 0")
    old = books.count("id % 3 = 0")
    assert 0 < old < total
    dry = prune_calls(registry, timedelta(days=89), run=finished.id, dry=True)
    assert (dry.calls, books.count("request IS NULL")) == (old, 0)
    steps: list[tuple[int, int]] = []
    done = prune_calls(registry, timedelta(days=89), run=finished.id, observe=lambda at, of: steps.append((at, of)))
    assert done == dry
    assert books.count("request IS NULL AND id % 3 = 0") == books.count("request IS NULL") == old
    assert steps[-1] == (total, total)
    assert len(steps) == -(-total // 7)
    replies = prune_calls(registry, timedelta(days=89), replies=True, dry=True)
    assert (replies.calls, replies.payable_again, replies.kept) == (old, old, 0)
    assert prune_calls(registry, timedelta(days=89), replies=True) == replies
    assert books.count("true") == total - old


def test_an_empty_ledger_and_a_run_that_is_not_there(registry: Registry) -> None:
    assert prune_calls(registry, NOW, replies=True) == Pruned(calls=0, bytes=0, payable_again=0, kept=0)
    with pytest.raises(NotFoundError, match="no run 7"):
        prune_calls(registry, NOW, run=7)
