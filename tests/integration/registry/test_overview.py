"""Tallies and what is read from them: the same numbers as the tables that they count."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from kat_data.domain.states import ItemState, RunState
from kat_data.errors import NotFoundError
from kat_data.registry import held, migrate, runs
from kat_data.registry.overview import newest_runs, overview, run_overview
from kat_data.registry.session import Registry

pytestmark = pytest.mark.integration

COUNTED = """
    SELECT 'item' AS kind, stage AS name, state AS outcome, count(*) AS count FROM work_items WHERE run_id = :run
    GROUP BY 1, 2, 3
    UNION ALL SELECT 'attempt', stage, outcome, count(*) FROM stage_attempts WHERE run_id = :run GROUP BY 1, 2, 3
    UNION ALL SELECT 'verdict', verifier, outcome, count(*) FROM verdicts WHERE run_id = :run GROUP BY 1, 2, 3
    UNION ALL SELECT 'sample', coalesce(mode, 'pair'), 'accepted', count(*) FROM samples WHERE run_id = :run
    GROUP BY 1, 2, 3
    UNION ALL SELECT 'call', model, coalesce(finish_reason, 'failed'), count(*) FROM calls
    WHERE run_id = :run AND state <> 'reserved' GROUP BY 1, 2, 3
"""


def counted(registry: Registry, run: int) -> dict[tuple[str, str, str], int]:
    with registry.engine.connect() as connection:
        rows = connection.execute(text(COUNTED), {"run": run})
        return {(row.kind, row.name, row.outcome): row.count for row in rows}


def tallied(registry: Registry, run: int) -> dict[tuple[str, str, str], int]:
    with registry.engine.connect() as connection:
        found = run_overview(connection, run)
    return {(kind, t.name, t.outcome): t.count for kind, of in found.tallies.items() for t in of}


def test_a_run_that_was_opened_is_counted(registry: Registry, open_run: Callable[..., Any]) -> None:
    run = open_run(sums=5)
    with registry.engine.connect() as connection:
        found = run_overview(connection, run.id)
    assert (found.queries, found.items(ItemState.READY), found.ended) == (5, 5, 0)
    assert (found.state, found.usd, found.tokens, found.workers) == (RunState.OPEN, 0.0, 0, 0)


def test_rounds_and_revivals_are_counted(registry: Registry, open_run: Callable[..., Any]) -> None:
    run = open_run(sums=6).id
    with registry.engine.begin() as connection:
        connection.execute(text("UPDATE work_items SET state = 'held', pool = 'all'"))
        connection.execute(text("UPDATE tallies SET outcome = 'held'"))
        assert held.let_on(connection, run, stage="first", pool="all", responses=2, to="second") == 2
        assert held.give_up(connection, run) == 4
    assert tallied(registry, run) == counted(registry, run)
    with registry.engine.begin() as connection:
        connection.execute(text("UPDATE work_items SET state = 'dead' WHERE state = 'ready'"))
        connection.execute(text("UPDATE tallies SET outcome = 'dead' WHERE outcome = 'ready'"))
        assert runs.revive_dead(connection, run) == 2
    assert tallied(registry, run) == counted(registry, run) == {
        ("item", "first", "dropped"): 4,
        ("item", "second", "ready"): 2,
    }  # fmt: skip


def test_a_fold_keeps_every_number(registry: Registry, open_run: Callable[..., Any]) -> None:
    run = open_run(sums=3).id
    with registry.engine.begin() as connection:
        for worker in (1, 2):
            values = f"({run}, {worker}, 'call', 'one', 'stop', 2, 30, 0.5, 1.25)"
            connection.execute(text(f"INSERT INTO tallies VALUES {values}"))
        before = run_overview(connection, run).tallies
        runs.fold_counters(connection, run)
        after = run_overview(connection, run).tallies
        rows = connection.execute(text("SELECT worker_id, count, usd FROM tallies WHERE kind = 'call'")).all()
    assert after == before
    assert rows == [(0, 4, 1.0)]


def test_the_migration_counts_what_was_there(registry: Registry, open_run: Callable[..., Any]) -> None:
    run = open_run(sums=4).id
    before = tallied(registry, run)
    migrate.downgrade(registry.url, "0009")
    migrate.upgrade(registry.url)
    assert tallied(registry, run) == before == counted(registry, run)


def test_open_runs_come_before_newer_ones(registry: Registry, open_run: Callable[..., Any]) -> None:
    first, second, third = (open_run(sums=2, identity=name).id for name in ("a", "b", "c"))
    with registry.engine.begin() as connection:
        for run in (second, third):
            runs.set_state(connection, run, RunState.STOPPED, "why not")
        assert newest_runs(connection, 2) == [first, third]
        assert [found.run for found in overview(connection, [third, first])] == [first, third]


def test_a_run_that_is_not_there(registry: Registry) -> None:
    with registry.engine.connect() as connection, pytest.raises(NotFoundError, match="no run 7: `kat runs list`"):
        run_overview(connection, 7)


def test_leases_and_calls_in_flight_are_those_of_the_runs_that_are_asked_for(
    registry: Registry, open_run: Callable[..., Any]
) -> None:
    first, second = (open_run(sums=n, identity=str(n)).id for n in (2, 3))
    with registry.engine.begin() as connection:
        connection.execute(text("UPDATE work_items SET worker_id = 1, available_at = now() + interval '1 minute'"))
        connection.execute(
            text(
                "INSERT INTO calls (key, model, revision, state, usd, tokens, run_id, worker_id)"
                " SELECT n::text::bytea, 'm', '', 'reserved', 0.5, 10, CASE n WHEN 1 THEN :first ELSE :second END, 1"
                " FROM generate_series(1, 3) AS n"
            ),
            {"first": first, "second": second},
        )
        alone, both = overview(connection, [second]), overview(connection, [first, second])
    assert [(run.leases, run.in_flight, run.reserved_usd) for run in both] == [(2, 1, 0.5), (3, 2, 1.0)]
    assert [(run.leases, run.in_flight) for run in alone] == [(3, 2)]
