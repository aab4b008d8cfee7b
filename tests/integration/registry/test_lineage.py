"""Where samples and snapshots come from, and where they went, as far as the registry knows."""

from datetime import UTC, datetime

import pytest

from kat_data.errors import NotFoundError, UserError
from kat_data.hashing import sha256
from kat_data.registry import queries, withdrawals
from kat_data.registry.lineage import labelled, noted_versions, sample_in, sample_lineage, snapshot_lineage
from kat_data.registry.session import Registry
from kat_data.registry.training import SnapshotInput, TrainingRun, note_training
from kat_data.registry.withdrawals import Why
from kat_data.testing import a_query

pytestmark = pytest.mark.integration


async def test_the_lineage_of_a_sample_shows_everything(registry, open_run, an_accepted_sample) -> None:
    run = open_run(a_query("What is 6 * 7?"))
    claim = await an_accepted_sample(run)
    with registry.engine.begin() as connection:
        [listed] = queries.list_samples(connection, run.id, 10)
        connection.exec_driver_sql(
            "INSERT INTO snapshots (name, version, hash, stage, path, manifest)"
            " VALUES ('maths', 3, '\\xab', 'stage2', '/tmp', '{}')"
        )
        connection.exec_driver_sql("INSERT INTO snapshot_rows SELECT snapshots.id, samples.id FROM snapshots, samples")
        lineages = [
            sample_lineage(connection, ident)
            for ident in (str(listed["id"]), listed["hash"][:16], f"{run.id}/{claim.query}")
        ]
    assert lineages[0] == lineages[1] == lineages[2]
    lineage = lineages[0]
    assert lineage["query"]["messages"] == [{"role": "user", "content": "What is 6 * 7?"}]
    assert (lineage["query"]["source"], lineage["query"]["licence"], lineage["query"]["reference"]) == (
        "test", "Apache-2.0", "42",
    )  # fmt: skip
    assert (lineage["item"]["state"], lineage["item"]["stage"]) == ("accepted", "judge_mode")
    assert lineage["sample"]["sample"]["turns"][0]["answer"] == "42"
    assert [tag["difficulty"] for tag in lineage["tags"]] == [2]
    assert [summary["domain"] for summary in lineage["tag_summaries"]] == ["arithmetic"]
    assert [(turn["mode"], turn["judge_analysis"]) for turn in lineage["turns"]] == [("think_off", "It is easy.")]
    assert [vote["reason"] for vote in lineage["votes"]] == ["It is easy."]
    assert [candidate["answer"] for candidate in lineage["candidates"]] == ["42"]
    assert [verdict["outcome"] for verdict in lineage["verdicts"]] == ["correct"]
    assert [(a["stage"], a["outcome"]) for a in lineage["stage_attempts"]] == [("tag", "done")]
    [call] = lineage["calls"]
    assert (call["stage"], call["model"], call["usd"], call["paid_by_run"]) == ("tag", "scripted", 0.5, run.id)
    assert (call["reply"]["text"], call["request"]["messages"][0]["content"]) == ("easy", "How hard is it?")
    assert lineage["usd"] == 0.5
    assert [(s["name"], s["version"]) for s in lineage["snapshots"]] == [("maths", 3)]


def test_idents_of_no_sample_are_one_clear_line(registry, open_run) -> None:
    run = open_run(sums=1)
    with registry.engine.connect() as connection:
        with pytest.raises(NotFoundError, match=r"no item .*/999: `kat runs items RUN` lists the queries of a run"):
            sample_lineage(connection, f"{run.id}/999")
        for ident in ("17", "deadbeef"):
            with pytest.raises(NotFoundError, match=f"no sample {ident}: `kat samples list` shows them"):
                sample_lineage(connection, ident)
        with pytest.raises(UserError, match="is not RUN/QUERY"):
            sample_lineage(connection, "1/x")


async def test_the_start_of_several_hashes_names_no_sample(registry, open_run, an_accepted_sample) -> None:
    run = open_run(sums=3)
    claims = [await an_accepted_sample(run) for _ in range(3)]
    with registry.engine.begin() as connection:
        for claim, start in zip(claims, ("ab00", "ab01", "ab01"), strict=True):
            connection.exec_driver_sql(
                "UPDATE samples SET hash = decode(%s, 'hex') WHERE query_id = %s", (start * 16, claim.query)
            )
        with pytest.raises(UserError, match=r"ab may be sample (ab00){4} or sample (ab01){4}: give more of the hash"):
            sample_lineage(connection, "ab")
        assert sample_lineage(connection, "ab01")["item"]["query_id"] == claims[1].query


@pytest.fixture
def execute(registry: Registry):
    """Run a statement on the registry in a transaction of its own."""

    def execute_(statement: str, *values: object) -> None:
        with registry.connection(autocommit=True) as connection:
            connection.execute(statement, values)

    return execute_


async def test_a_number_is_an_id_and_the_start_of_a_hash_only_where_it_is_long(
    registry, open_run, an_accepted_sample, execute
) -> None:
    run = open_run(sums=2)
    execute("ALTER TABLE samples ALTER COLUMN id RESTART WITH 12345678")
    first, second = [(await an_accepted_sample(run)).query for _ in range(2)]

    def queries_of(*idents: str | int) -> list[int]:
        with registry.engine.connect() as connection:
            return [sample_lineage(connection, ident)["item"]["query_id"] for ident in idents]

    execute("UPDATE samples SET hash = decode(repeat('87654321', 8), 'hex') WHERE query_id = %s", second)
    assert queries_of("12345678", "12345679", "87654321", 12345678) == [first, second, second, first]
    with pytest.raises(NotFoundError, match="no sample 8765432: "):
        queries_of("8765432")
    execute("UPDATE samples SET hash = decode(repeat('12345678', 8), 'hex') WHERE query_id = %s", second)
    assert queries_of(12345678, "123456781") == [first, second]
    with pytest.raises(
        UserError, match=r"12345678 may be sample \w{16} or sample (12345678){2}: give more of the hash"
    ):
        queries_of("12345678")


async def test_a_call_that_two_stages_asked_for_is_paid_once(registry, open_run, an_accepted_sample, execute) -> None:
    run = open_run(a_query("What is 6 * 7?"))
    await an_accepted_sample(run)
    execute(
        "INSERT INTO stage_attempts (run_id, query_id, turn, stage, started_at, seconds, outcome, calls)"
        " SELECT run_id, query_id, 1, 'verify', started_at, 1, 'done', calls FROM stage_attempts"
    )
    with registry.engine.connect() as connection:
        lineage = sample_lineage(connection, "1")
        cost = queries.run_cost(connection, run.id)
    [call] = lineage["calls"]
    assert (call["turn"], call["stage"], sorted(call["stages"])) == (0, "tag", ["tag", "verify"])
    assert lineage["usd"] == sum(call["usd"] for call in lineage["calls"]) == cost.usd_used == 0.5


async def test_the_lineage_goes_on_to_decisions_snapshots_and_checkpoints(
    registry, open_run, an_accepted_sample, execute
) -> None:
    run = open_run(a_query("What is 6 * 7?"))
    claim = await an_accepted_sample(run)
    execute("INSERT INTO query_conflicts (query_id, source_id, line, reference) VALUES (%s, 1, 9, '43')", claim.query)
    execute(
        "INSERT INTO decisions (event, sample_id, sample_hash, curator, act, reasons)"
        " SELECT 'one', id, hash, 'ana', 'reject', '{unclear}' FROM samples"
    )
    execute(
        "INSERT INTO decisions (event, sample_id, sample_hash, curator, act, undoes)"
        " SELECT 'two', sample_id, sample_hash, 'ana', 'undo', id FROM decisions"
    )
    snapshot = sha256(b"maths")
    execute(
        "INSERT INTO snapshots (name, version, hash, stage, path, manifest) VALUES ('maths', 3, %s, '', '', '{}')",
        snapshot,
    )
    execute("INSERT INTO snapshot_rows SELECT snapshots.id, samples.id FROM snapshots, samples")
    trained = TrainingRun(
        trainer="cold_start",
        base_model="tiny",
        config={},
        code_version="1",
        inputs=(SnapshotInput(hash=snapshot.hex(), label="maths@3"),),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        checkpoint="/checkpoints/1",
    )
    with registry.engine.begin() as connection:
        note_training(connection, trained)
        withdrawals.withdraw_queries(connection, [claim.query], Why(reason="takedown", by="ben"))
        lineage = sample_lineage(connection, "1")
        of_snapshot = snapshot_lineage(connection, snapshot.hex()[:12])
        nothing = snapshot_lineage(connection, "00")
    assert lineage["conflicts"] == [{"source": "test", "line": 9, "reference": "43"}]
    assert [(d["act"], d["reasons"], d["undone"], d["undoes"]) for d in lineage["decisions"]] == [
        ("reject", ["unclear"], True, None),
        ("undo", [], False, 1),
    ]
    assert lineage["standing_decision"] is None
    assert [w["reason"] for w in lineage["withdrawals"]] == ["takedown"]
    assert [(s["name"], s["version"]) for s in lineage["snapshots"]] == [("maths", 3)]
    assert [t["checkpoint"] for t in lineage["training"]] == ["/checkpoints/1"]
    assert of_snapshot is not None
    assert of_snapshot["runs"] == [{"id": run.id, "name": "test", "state": "open", "rows": 1}]
    assert (of_snapshot["withdrawn"], of_snapshot["training"]) == (1, lineage["training"])
    assert nothing is None


async def test_a_row_is_the_sample_that_its_snapshot_holds(registry, open_run, an_accepted_sample, execute) -> None:
    """The same content may stand in several runs, and a snapshot holds that of one."""
    for identity in ("one", "two"):
        await an_accepted_sample(open_run(a_query("What is 6 * 7?"), identity=identity))
    execute("INSERT INTO snapshots (name, version, hash, stage, path, manifest) VALUES ('a', 1, '\\xab', '', '', '{}')")
    execute("INSERT INTO snapshot_rows SELECT snapshots.id, 2 FROM snapshots")
    with registry.engine.connect() as connection:
        content = queries.list_samples(connection, None, 1)[0]["hash"]
        assert [sample_in(connection, content, snapshot) for snapshot in ("ab", "cd")] == [2, 1]
        assert sample_in(connection, "00" * 32, "ab") is None
        assert (labelled(connection, "a", None), labelled(connection, "a", 2)) == ("ab", None)
        assert (noted_versions(connection, "a"), noted_versions(connection, "b")) == ({1: "ab"}, {})
