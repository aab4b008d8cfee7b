"""Withdrawn queries: what no longer takes them, what lets go of them, and what is said to hold them still."""

from collections import Counter
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.query import Query
from kat_data.domain.states import ItemState, RunState
from kat_data.domain.withdrawal import WithdrawalKind
from kat_data.errors import InputError, LeaseLost, NotFoundError, UserError
from kat_data.hashing import sha256
from kat_data.registry import held, queries, runs, withdrawals
from kat_data.registry.imports import import_queries
from kat_data.registry.named_queries import find_queries
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.registry.standing import STANDS
from kat_data.registry.training import SnapshotInput, TrainingRun, note_training
from kat_data.registry.withdrawals import Why, Withdrawal
from kat_data.registry.worker import Attempt, Claim, Move, Step, Worker
from kat_data.testing import a_query

pytestmark = pytest.mark.integration

WHY = Why(reason="the licence was a mistake", by="ana", kind=WithdrawalKind.LICENCE)
SUMS = tuple(a_query(f"What is {n} + 1?", reference=str(n + 1)) for n in range(4))


@pytest.fixture
def withdraw(registry: Registry):
    """Withdraw the queries with these hashes, or a source."""

    def withdraw_(*hashes: bytes, source: str | None = None, why: Why = WHY) -> Withdrawal:
        with registry.engine.begin() as connection:
            if source:
                return withdrawals.withdraw_source(connection, source, why)
            named = find_queries(connection, [found.hex() for found in hashes])
            assert not named.unknown
            return withdrawals.withdraw_queries(connection, named.queries, why)

    return withdraw_


@pytest.fixture
def undo(registry: Registry):
    def undo_(withdrawal: int) -> dict[str, Any]:
        with registry.engine.begin() as connection:
            return withdrawals.undo(connection, withdrawal, Why(reason="it was none", by="ben"))

    return undo_


def sql(registry: Registry, statement: str, *values: Any) -> list[Any]:
    with registry.connection(autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def states(registry: Registry, run: RunRow) -> dict[str, str]:
    """The state of each query's item, by what the query asks; the tallies say the same."""
    rows = sql(
        registry,
        "SELECT messages->0->>'content', state FROM work_items JOIN queries ON queries.id = query_id WHERE run_id = %s",
        run.id,
    )
    counted = sql(
        registry,
        "SELECT outcome, sum(count)::bigint FROM tallies WHERE run_id = %s AND kind = 'item' GROUP BY outcome"
        " HAVING sum(count) <> 0",
        run.id,
    )
    assert dict(counted) == Counter(state for _, state in rows)
    return dict(rows)


def hold_back(registry: Registry, query: Query) -> None:
    """Let the item of a query be held at the set stage, and its tallies say so."""
    sql(registry, "UPDATE work_items SET state = 'held', stage = 'select' WHERE query_id = %s", ident(registry, query))
    sql(registry, "UPDATE tallies SET count = count - 1")
    sql(registry, "INSERT INTO tallies SELECT run_id, 0, 'item', 'select', 'held', 1 FROM tallies")


def ident(registry: Registry, query: Query) -> int:
    [[found]] = sql(registry, "SELECT id FROM queries WHERE hash = %s", query.hash)
    return int(found)


def step(claim: Claim, state: ItemState = ItemState.ACCEPTED) -> Step:
    attempt = Attempt(stage="first", started_at=datetime(2026, 1, 1, tzinfo=UTC), seconds=0.0, outcome="done", calls=())
    return Step(claim=claim, attempt=attempt, move=Move(stage="first", turn=0, state=state))


def hold_a_snapshot(registry: Registry, run: RunRow, name: str, query: Query) -> str:
    """Note a snapshot that holds a sample of the query; return its content hash."""
    content_hash = sha256(name.encode())
    [[sample]] = sql(
        registry,
        "INSERT INTO samples (hash, run_id, query_id, sample, lineage) VALUES (%s, %s, %s, '{}', '') RETURNING id",
        sha256(query.hash),
        run.id,
        ident(registry, query),
    )
    [[snapshot]] = sql(
        registry,
        "INSERT INTO snapshots (name, version, hash, stage, path, manifest)"
        " VALUES (%s, 1, %s, 'stage2', '/nowhere', '{}') RETURNING id",
        name,
        content_hash,
    )
    sql(registry, "INSERT INTO snapshot_rows VALUES (%s, %s)", snapshot, sample)
    return content_hash.hex()


def test_what_is_withdrawn_enters_no_later_run(registry, open_run, withdraw) -> None:
    first = open_run(*SUMS)
    done = withdraw(SUMS[0].hash)
    assert (done.queries, done.earlier) == (1, 0)
    second = open_run(*SUMS)
    assert (first.queries, second.queries) == (4, 3)
    assert second.left_out == [{"reason": "withdrawn", "source": "test", "licence": "Apache-2.0", "queries": 1}]
    assert "What is 0 + 1?" not in states(registry, second)


def test_a_source_of_which_everything_is_withdrawn_opens_no_run(open_run, withdraw) -> None:
    open_run(*SUMS)
    assert withdraw(source="test").queries == 4
    with pytest.raises(UserError, match=r"no query that could be used: 4 are withdrawn \(`kat queries withdrawals`\)"):
        open_run(*SUMS)


def test_items_under_way_are_dropped_and_the_funnel_adds_up(registry, open_run, withdraw) -> None:
    run = open_run(*SUMS)
    hold_back(registry, SUMS[0])
    done = withdraw(SUMS[0].hash, SUMS[1].hash)
    assert [(row["run"], row["items"]) for row in done.dropped] == [(run.id, 2)]
    assert sorted(states(registry, run).values()) == ["dropped", "dropped", "ready", "ready"]
    with registry.engine.connect() as connection:
        funnel = {(row.stage, row.state, row.reason): row.items for row in runs.funnel(connection, run.id)}
    dropped = {("select", "dropped", "withdrawn"): 1, ("first", "dropped", "withdrawn"): 1}
    assert funnel == dropped | {("first", "ready", None): 2}


async def test_what_a_worker_makes_of_a_withdrawn_query_is_not_written(registry, open_run, withdraw) -> None:
    run = open_run(*SUMS)
    async with await Worker.start(registry, SystemClock(), run=run.id) as worker:
        claims = {claim.draft.query.hash: claim for claim in await worker.claim(run.id, 4, ["first"])}
        withdraw(SUMS[0].hash)
        with pytest.raises(LeaseLost):
            await worker.commit(step(claims[SUMS[0].hash]))
        await worker.commit(step(claims[SUMS[1].hash]))
        assert await worker.claim(run.id, 4, ["first"]) == []
    assert states(registry, run)["What is 0 + 1?"] == "dropped"
    assert states(registry, run)["What is 1 + 1?"] == "accepted"


def test_the_dead_of_a_finished_run_are_dropped_too_and_cannot_be_revived(registry, open_run, withdraw) -> None:
    run = open_run(*SUMS[:2])
    sql(registry, "UPDATE work_items SET state = 'dead', reason = 'KeyError'")
    sql(registry, "UPDATE tallies SET outcome = 'dead'")
    with registry.engine.begin() as connection:
        assert runs.finish(connection, run.id)
    withdraw(SUMS[0].hash)
    with registry.engine.begin() as connection:
        found = {(row.state, row.reason): row.items for row in runs.funnel(connection, run.id)}
        assert found == {("dropped", "withdrawn"): 1, ("dead", "KeyError"): 1}
        assert runs.revive_dead(connection, run.id) == 1
    assert states(registry, run) == {"What is 0 + 1?": "dropped", "What is 1 + 1?": "ready"}


def test_undone_it_is_taken_up_where_it_stood(registry, open_run, withdraw, undo) -> None:
    run = open_run(*SUMS[:2])
    hold_back(registry, SUMS[0])
    done = withdraw(source="test")
    assert set(states(registry, run).values()) == {"dropped"}
    found = undo(done.id)
    assert (found["queries"], found["still_withdrawn"]) == (2, 0)
    assert [(row["run"], row["items"]) for row in found["taken_up"]] == [(run.id, 2)]
    assert states(registry, run) == {"What is 0 + 1?": "held", "What is 1 + 1?": "ready"}
    again = open_run(*SUMS[:2])
    assert (again.id, again.left_out) == (run.id, [])
    with pytest.raises(UserError, match=f"withdrawal {done.id} was undone by ben already"):
        undo(done.id)
    with pytest.raises(NotFoundError, match="there is no withdrawal 99"):
        undo(99)


def test_undone_a_finished_run_is_open_again_where_it_gets_items_back(registry, open_run, withdraw, undo) -> None:
    run, other = open_run(*SUMS[:2]), open_run(*SUMS[:2], identity="other")
    first, second = withdraw(SUMS[0].hash), withdraw(SUMS[1].hash)
    with registry.engine.begin() as connection:
        assert runs.finish(connection, run.id)
        runs.set_state(connection, other.id, RunState.CANCELLED)
    assert [(row["run"], row["state"], row["items"]) for row in undo(first.id)["taken_up"]] == [
        (run.id, "open", 1),
        (other.id, "cancelled", 1),
    ]
    with registry.engine.begin() as connection:
        assert (runs.get_run(connection, run.id).state, runs.unfinished(connection, run.id)) == (RunState.OPEN, 1)
        assert {row.state: row.items for row in runs.funnel(connection, run.id)} == {"ready": 1, "dropped": 1}
        assert not runs.finish(connection, run.id)
    assert withdraw(SUMS[0].hash).dropped[0]["state"] == "open"
    with registry.engine.begin() as connection:
        assert runs.finish(connection, run.id)
        assert sum(row.items for row in runs.funnel(connection, run.id)) == 2
    assert [row["state"] for row in undo(second.id)["taken_up"]] == ["open", "cancelled"]


def test_what_two_withdrawals_cover_comes_back_with_the_second(registry, open_run, withdraw, undo) -> None:
    open_run(*SUMS)
    whole, one = withdraw(source="test"), withdraw(SUMS[0].hash)
    assert (one.queries, one.earlier) == (1, 1)
    found = undo(whole.id)
    assert (found["queries"], found["still_withdrawn"]) == (3, 1)
    assert open_run(*SUMS, identity="between").queries == 3
    undo(one.id)
    assert open_run(*SUMS, identity="after").queries == 4
    with registry.engine.connect() as connection:
        listed = withdrawals.list_withdrawals(connection)
    assert [(row["id"], row["queries"], row["undone_by"], row["undone_reason"]) for row in listed] == [
        (one.id, 1, "ben", "it was none"),
        (whole.id, 4, "ben", "it was none"),
    ]
    with registry.engine.connect() as connection:
        assert [withdrawals.find(connection, row["id"]) for row in listed] == listed
        of_first, of_last = (withdrawals.of_query(connection, ident(registry, query)) for query in (SUMS[0], SUMS[3]))
    uncounted = [{name: row[name] for name in row if name != "queries"} for row in listed]
    assert (of_first, of_last) == (uncounted, uncounted[1:])


def imported(registry: Registry, *asked: str, source: str = "test") -> Any:
    return import_queries(
        registry,
        list(enumerate((a_query(text) for text in asked), 1)),
        source=source,
        licence="Apache-2.0",
        file_name="again.jsonl",
        preset="plain",
        fingerprint=repr((asked, source)).encode(),
    )


def test_importing_again_brings_nothing_back(registry, open_run, withdraw) -> None:
    open_run(*SUMS)
    withdraw(SUMS[0].hash)
    report = imported(registry, "What is 0 + 1?", "What is 1 + 1?", "new", source="elsewhere")
    assert (report.imported, report.duplicates, report.withdrawn) == (1, 2, 1)
    assert open_run(*SUMS).queries == 4  # three sums and the new one


def test_what_a_withdrawn_source_brings_later_is_withdrawn_with_it(registry, open_run, withdraw, undo) -> None:
    open_run(*SUMS)
    done = withdraw(source="test")
    report = imported(registry, "What is 0 + 1?", "new")
    assert (report.imported, report.withdrawn) == (1, 2)
    assert imported(registry, "free", source="elsewhere").withdrawn == 0
    assert open_run(*SUMS).queries == 1
    assert undo(done.id)["queries"] == 5
    assert imported(registry, "newest").withdrawn == 0


def test_snapshots_and_training_runs_that_hold_some_are_named(registry, open_run, withdraw) -> None:
    run = open_run(*SUMS)
    held_hash, _ = (hold_a_snapshot(registry, run, name, sum_) for name, sum_ in zip("ab", SUMS, strict=False))
    trained = TrainingRun(
        trainer="cold_start",
        base_model="tiny",
        config={"lr": 1e-4},
        code_version="1",
        inputs=(SnapshotInput(hash=held_hash, label="a@1"),),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        checkpoint="/checkpoints/a",
        checkpoint_hash="aa" * 32,
    )
    with registry.engine.begin() as connection:
        note_training(connection, trained)
    done, nothing = withdraw(SUMS[0].hash, SUMS[2].hash), withdraw(SUMS[2].hash)
    with registry.engine.connect() as connection:
        found = withdrawals.holders(connection, done.id)
        assert withdrawals.holders(connection, nothing.id) == {"snapshots": [], "training": []}
        assert [(row["name"], row["version"], row["hash"], row["rows"]) for row in found["snapshots"]] == [
            ("a", 1, held_hash, 1)
        ]
        assert [(row["checkpoint"], row["rows"]) for row in found["training"]] == [("/checkpoints/a", 1)]
        assert [withdrawals.withdrawn_rows(connection, sha256(name)) for name in (b"a", b"b")] == [1, 0]


def test_names_of_queries(registry, open_run) -> None:
    run = open_run(*SUMS)
    hold_a_snapshot(registry, run, "a", SUMS[0])
    [[row_id]] = sql(registry, "SELECT encode(hash, 'hex') FROM samples")
    by_hash = dict(sql(registry, "SELECT encode(hash, 'hex'), id FROM queries"))
    first, second = SUMS[0].hash.hex(), SUMS[1].hash.hex()
    with registry.engine.connect() as connection:
        found = find_queries(connection, [row_id, second[:9].upper(), "abcdef0123", second])
        assert found.queries == sorted([by_hash[first], by_hash[second]])
        assert found.unknown == ["abcdef0123"]
        for wrong in ("12345", "no hash"):
            with pytest.raises(InputError, match=f"'{wrong}' is no query's or row's hash: give at least 6"):
                find_queries(connection, [second, wrong])
    sql(registry, "UPDATE samples SET hash = decode(%s, 'hex')", first[:10] + "0" * 54)
    with registry.engine.connect() as connection, pytest.raises(InputError, match="several queries or rows"):
        find_queries(connection, [first[:10]])


def test_a_row_names_all_its_queries_however_often_it_stands_there(registry, open_run) -> None:
    run = open_run(*SUMS[:2])
    insert = (
        "INSERT INTO samples (hash, run_id, query_id, number, sample, lineage)"
        " SELECT sha256('one'), %s, %s, number, '{}', '' FROM generate_series(1, %s) AS number"
    )
    sql(registry, insert, run.id, ident(registry, SUMS[0]), 150)
    sql(registry, insert, run.id, ident(registry, SUMS[1]), 1)
    start = sha256(b"one").hex()[:8]
    with registry.engine.connect() as connection:
        assert find_queries(connection, [start]).queries == sorted(ident(registry, query) for query in SUMS[:2])
    sql(registry, "UPDATE samples SET hash = hash || '\\x00' WHERE query_id = %s", ident(registry, SUMS[1]))
    sql(registry, "UPDATE samples SET hash = substr(hash, 1, 31) || '\\xff' WHERE length(hash) > 32")
    with registry.engine.connect() as connection, pytest.raises(InputError, match="several queries or rows"):
        find_queries(connection, [start])


def test_samples_of_withdrawn_queries_are_missing_in_a_mixture(registry, open_run, withdraw) -> None:
    run = open_run(*SUMS)
    for name, query in zip("ab", SUMS, strict=False):
        hold_a_snapshot(registry, run, name, query)
    sql(registry, "UPDATE samples SET stratum = 'category=math'")
    withdraw(SUMS[0].hash)
    with registry.engine.connect() as connection:
        assert held.brought(connection, run.id) == {"category=math": 1}


def waits(registry: Registry, thread: Thread) -> None:
    """Return once another connection waits for a lock."""
    with registry.connection(autocommit=True) as watch:
        while watch.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            assert thread.is_alive()


def test_a_withdrawal_waits_for_a_run_that_is_being_opened(registry, add_queries, open_run, withdraw) -> None:
    run = open_run(*SUMS)
    done: list[Withdrawal] = []
    with registry.engine.begin() as connection:
        withdrawals.hold(connection)
        thread = Thread(target=lambda: done.append(withdraw(SUMS[0].hash)))
        thread.start()
        waits(registry, thread)
        connection.exec_driver_sql("UPDATE work_items SET stage = 'second'")  # as if it had been opened just now
    thread.join()
    assert [(row["run"], row["items"]) for row in done[0].dropped] == [(run.id, 1)]


def test_samples_of_what_is_withdrawn_are_there_and_stand_no_more(registry, open_run, withdraw) -> None:
    """What a run came to is history; what may be made of it is not."""
    run = open_run(*SUMS[:2])
    for name, query in zip("ab", SUMS, strict=False):
        hold_a_snapshot(registry, run, name, query)
    withdraw(SUMS[0].hash)
    assert sql(registry, f"SELECT query_id FROM samples WHERE {STANDS}") == [(ident(registry, SUMS[1]),)]
    with registry.engine.connect() as connection:
        assert len(queries.list_samples(connection, run.id, 10)) == 2
