"""Training runs are noted once, however often their file is imported, and known by the snapshots they used."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from threading import Thread

import pytest

from kat_data.domain.training import TrainingState
from kat_data.registry.session import Registry
from kat_data.registry.training import SnapshotInput, TrainingRun, note_training, trained_on

pytestmark = pytest.mark.integration

STARTED = datetime(2026, 11, 1, 9, tzinfo=UTC)
SNAPSHOT = SnapshotInput(hash="5a" * 32, label="cold_start@3")
RUN = TrainingRun(
    trainer="cold_start",
    base_model="kat-40b",
    config={"learning_rate": 1e-5, "steps": 3},
    code_version="0.1.0",
    inputs=(SNAPSHOT,),
    started_at=STARTED,
)
DONE = replace(
    RUN,
    state=TrainingState.FINISHED,
    finished_at=STARTED + timedelta(hours=2),
    metrics={"loss": 0.25},
    checkpoint="s3://models/kat/1",
    checkpoint_hash="c1" * 32,
)


@pytest.fixture
def note(registry: Registry):
    def note_(run: TrainingRun) -> bool:
        with registry.engine.begin() as connection:
            return note_training(connection, run)

    return note_


@pytest.fixture
def trained(registry: Registry):
    """Return what was trained on a snapshot."""

    def look(snapshot: SnapshotInput = SNAPSHOT) -> list[dict[str, object]]:
        with registry.engine.connect() as connection:
            return trained_on(connection, [bytes.fromhex(snapshot.hash)])

    return look


def test_noted_twice_it_is_there_once(note, trained) -> None:
    assert [note(DONE), note(DONE)] == [True, False]
    [found] = trained()
    assert found["inputs"] == [{"hash": SNAPSHOT.hash, "label": "cold_start@3"}]
    assert (found["trainer"], found["base_model"], found["state"]) == ("cold_start", "kat-40b", "finished")
    assert (found["checkpoint"], found["checkpoint_hash"]) == ("s3://models/kat/1", "c1" * 32)
    assert (found["metrics"], found["after"], found["hash"]) == ({"loss": 0.25}, None, DONE.hash.hex())


def test_how_it_went_on_is_noted_with_the_same_run(note, trained) -> None:
    assert [note(RUN), note(replace(RUN, state=TrainingState.STOPPED)), note(DONE)] == [True, False, False]
    assert [found["state"] for found in trained()] == ["finished"]


def test_an_older_file_changes_nothing_of_a_run_that_has_ended(note, trained) -> None:
    note(DONE)
    note(RUN)
    note(replace(DONE, finished_at=STARTED + timedelta(hours=1), metrics={"loss": 9.0}))
    assert [found["metrics"] for found in trained()] == [{"loss": 0.25}]


def test_resumed_after_it_failed_it_is_noted_as_it_ended_then(note, trained) -> None:
    note(replace(RUN, state=TrainingState.FAILED, finished_at=STARTED + timedelta(hours=1)))
    note(DONE)
    assert [found["state"] for found in trained()] == ["finished"]


def test_an_older_file_of_a_run_that_is_noted_at_the_same_time_changes_nothing(registry, note, trained) -> None:
    said: list[bool] = []
    with registry.engine.begin() as connection:
        note_training(connection, DONE)
        thread = Thread(target=lambda: said.append(note(RUN)))
        thread.start()
        with registry.connection(autocommit=True) as watch:
            while watch.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
                assert thread.is_alive()
    thread.join()
    assert said == [False]
    assert [found["state"] for found in trained()] == ["finished"]


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"learning_rate": 1e-4}},
        {"started_at": STARTED + timedelta(seconds=1)},
        {"inputs": (SnapshotInput(hash="5b" * 32, label="cold_start@4"), SNAPSHOT)},
        {"base_hash": "ab" * 32},
    ],
)
def test_what_makes_it_another_training_run(note, trained, change) -> None:
    note(RUN)
    assert note(replace(RUN, **change))
    assert len(trained()) == 2


def test_a_run_is_the_same_wherever_its_clock_stands_and_whatever_its_inputs_are_called() -> None:
    there = STARTED.astimezone(timezone(timedelta(hours=8)))
    renamed = SnapshotInput(hash=SNAPSHOT.hash, label="cold_start@prod")
    assert replace(RUN, started_at=there, inputs=(renamed,)).hash == RUN.hash


def test_what_goes_on_from_a_checkpoint_goes_on_from_its_snapshots(note, trained) -> None:
    note(DONE)
    other = SnapshotInput(hash="77" * 32, label="rl@1")
    later = replace(
        DONE,
        trainer="step_srpo",
        base_hash=DONE.checkpoint_hash,
        inputs=(other,),
        checkpoint_hash="c2" * 32,
        started_at=STARTED + timedelta(days=1),
        finished_at=STARTED + timedelta(days=2),
    )
    last = replace(later, base_hash="c2" * 32, checkpoint_hash="c3" * 32, started_at=STARTED + timedelta(days=3))
    note(later)
    note(last)
    assert [(found["trainer"], found["after"]) for found in trained()] == [
        ("cold_start", None),
        ("step_srpo", DONE.hash.hex()),
        ("step_srpo", later.hash.hex()),
    ]
    assert [found["hash"] for found in trained(other)] == [later.hash.hex(), last.hash.hex()]
    assert trained(SnapshotInput(hash="00" * 32, label="none@1")) == []


def test_checkpoints_in_a_circle_end(note, trained) -> None:
    note(replace(DONE, base_hash=DONE.checkpoint_hash))
    assert len(trained()) == 1
