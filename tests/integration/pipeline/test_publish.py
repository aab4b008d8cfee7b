"""From runs to snapshots, in folders that know nothing of each other."""

from pathlib import Path
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.errors import RegistryError, TemplateError, UserError
from kat_data.pipeline.publish import publish_run
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.snapshots.build.write import Written
from kat_data.snapshots.read import versions
from kat_data.testing import a_query

pytestmark = pytest.mark.integration

_IMPOSSIBLE = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["what nobody says"]})


@pytest.fixture
async def two_runs(run, lean, add_queries, easy_queries) -> tuple[RunRow, RunRow]:
    add_queries(*easy_queries[:3])
    first = await run(lean())
    add_queries(*easy_queries[3:5])
    return first, await run(lean())


@pytest.fixture
def publish(registry: Registry, tmp_path: Path, measured_home: Path):
    def publish_(run: RunRow, root: str) -> Written:
        wanted: dict[str, Any] = {"name": None, "partial": False, "clock": SystemClock(), "home": measured_home}
        return publish_run(registry, tmp_path / root, run.id, **wanted)

    return publish_


@pytest.fixture
def snapshots_of(registry: Registry):
    """Return the snapshots that hold samples of a run."""

    def look(run: RunRow) -> set[tuple[str, int, str]]:
        sql = """
            SELECT name, version, encode(snapshots.hash, 'hex'), count(*) FROM snapshot_rows
            JOIN snapshots ON snapshots.id = snapshot_id JOIN samples ON samples.id = sample_id
            WHERE run_id = %s GROUP BY snapshots.id
        """
        with registry.connection() as connection:
            accepted = connection.execute("SELECT count(*) FROM samples WHERE run_id = %s", [run.id]).fetchone()
            found = connection.execute(sql, [run.id]).fetchall()
        assert {(count,) for *_, count in found} == {accepted}
        return {(name, version, hash_) for name, version, hash_, _ in found}

    return look


def test_two_folders_never_give_one_version_to_two_snapshots(two_runs, publish, snapshots_of) -> None:
    first, second = (publish(run, root) for run, root in zip(two_runs, "ab", strict=True))
    assert (first.label, second.label) == ("lean@1", "lean@2")
    for run, written in zip(two_runs, (first, second), strict=True):
        label = "lean", written.manifest.unhashed.version, written.manifest.hashed.content_hash
        assert snapshots_of(run) == {label}


def test_content_keeps_its_version_wherever_it_is_written_again(two_runs, publish) -> None:
    for root in "ab":
        assert publish(two_runs[0], root).label == "lean@1"
        assert publish(two_runs[1], root).label == "lean@2"
        assert publish(two_runs[0], root).existed


async def test_samples_of_another_run_that_gave_the_same_rows_are_noted(
    two_runs, publish, run, lean, add_queries, snapshots_of
) -> None:
    first = publish(two_runs[1], "a")
    add_queries(a_query("No verifier accepts this.", reference="nothing", verifier=_IMPOSSIBLE))
    again = await run(lean())
    assert publish(again, "a").existed
    assert snapshots_of(again) == {("lean", 1, first.manifest.hashed.content_hash)}


def test_a_version_that_is_another_snapshot_here_is_refused(two_runs, publish, registry, tmp_path: Path) -> None:
    mine = publish(two_runs[0], "a")
    with registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE snapshots SET hash = '\\x00'")  # as if another machine had built the folder
    with pytest.raises(
        UserError, match=r"lean@1 is another snapshot in this registry than .*: give another --name or --root"
    ):
        publish(two_runs[0], "a")
    assert mine.path.is_dir()


def test_no_snapshot_is_visible_that_the_registry_does_not_know(
    two_runs, publish, snapshots_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise RegistryError("the server is gone")

    with monkeypatch.context() as patched:
        patched.setattr("kat_data.registry.selection.Selection.note", lost)
        with pytest.raises(RegistryError, match="the server is gone"):
            publish(two_runs[0], "a")
    assert versions(tmp_path / "a", "lean") == []

    with monkeypatch.context() as patched:
        patched.setattr("kat_data.snapshots.build.write.publish", lost)  # a kill between the note and the rename
        with pytest.raises(RegistryError, match="the server is gone"):
            publish(two_runs[0], "a")
    [(name, version, content)] = snapshots_of(two_runs[0])
    assert versions(tmp_path / "a", "lean") == []

    written = publish(two_runs[0], "a")
    assert written.label == f"{name}@{version}"
    assert snapshots_of(two_runs[0]) == {(name, version, content)}


def test_a_sample_that_no_row_can_hold_is_named(two_runs, publish, registry) -> None:
    with registry.connection() as connection:
        [ident] = connection.execute(
            "UPDATE samples SET rendered = NULL, rendered_as = NULL, sample = jsonb_set(sample::jsonb,"
            " '{turns,0,judge_analysis}', '\"<think>\"')::json WHERE run_id = %s AND id ="
            " (SELECT min(id) FROM samples WHERE run_id = %s) RETURNING id",
            [two_runs[0].id, two_runs[0].id],
        ).fetchone()
        connection.commit()
    with pytest.raises(TemplateError, match=f"sample {ident} cannot be a row of stage2: .*reserved tag <think>"):
        publish(two_runs[0], "a")
