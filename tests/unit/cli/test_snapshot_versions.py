"""What the shell says of versions: aliases, notes, lists and differences; and that nothing ever writes inside one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from kat_data.cli.snapshots import snapshots
from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import NotFoundError, UserError
from kat_data.hashing import content_hash
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.record import Row, TrainingStage


def a_row(number: int, difficulty: float = 3) -> Row:
    turn = Turn(user=f"{number} + 1?", judge_analysis="A sum.", mode=Mode.OFF, thinking="", answer=str(number + 1))
    return Row(
        sample=Sample(system=None, tools=(), turns=(turn,)),
        query=content_hash(["query", number]).hex(),
        lineage=content_hash(["lineage", number]).hex(),
        category=Category.MATH,
        source="made-up",
        licence="MIT",
        difficulty=difficulty,
        verdict=Verdict(outcome=Outcome.CORRECT, status=Status.CORRECT, verifier="math/2"),
    )


def build(root: Path, rows: list[Row], note: str = "") -> None:
    built_at = datetime(2026, 1, 1, tzinfo=UTC)
    spec = SnapshotSpec(name="sums", stage=TrainingStage.STAGE2, seed=0, recipe={}, built_at=built_at, notes=note)
    write_snapshot(root, spec, {"train": rows})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "snapshots"
    build(folder, [a_row(n) for n in range(6)], "the first")
    build(folder, [a_row(n, 4 if n == 1 else 3) for n in range(1, 8)])
    return folder


@pytest.fixture
def kat(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAT_HOME", str(root.parent))  # which has no registry
    monkeypatch.delenv("KAT_DATABASE_URL", raising=False)

    def run(*arguments: object) -> Any:
        words = [*map(str, arguments), "--root", str(root)]
        found = CliRunner().invoke(snapshots, words, catch_exceptions=False, terminal_width=200)
        assert found.exit_code == 0, found.output
        return orjson.loads(found.stdout) if "--json" in words else " ".join(found.stdout.split())

    return run


def test_an_alias_is_set_moved_and_removed(kat) -> None:
    assert kat("alias", "sums@1", "prod", "--note", "go") == "sums@prod: none → 1"
    assert kat("alias", "sums", "prod") == "sums@prod: 1 → 2"
    assert kat("alias", "sums@2", "prod") == "sums@prod is sums@2 already"
    found = kat("alias", "sums@prod", "stable", "--json")
    assert found["aliases"] == {"prod": 2, "stable": 2}
    assert (found["move"]["from_version"], found["move"]["to_version"]) == (None, 2)
    assert kat("verify", "sums@prod", "--json")["ok"]
    assert kat("alias", "sums", "prod", "--remove") == "sums@prod: 2 → none"
    events = kat("history", "sums", "--json")["events"]
    assert [event["to_version"] for event in events] == [1, 2, 2, None]
    assert events[0]["note"] == "go"
    assert all(event["by"] and event["at"] for event in events)
    with pytest.raises(NotFoundError):
        kat("show", "sums@prod")
    with pytest.raises(UserError, match="neither a number nor `latest`"):
        kat("alias", "sums@1", "3")


def test_the_list_has_aliases_parents_and_notes(kat) -> None:
    kat("alias", "sums@1", "prod")
    assert kat("note", "sums@2", "trained on it") == "noted on sums@2"
    first, second = kat("list", "--json", "--name", "sums")
    assert (first["snapshot"], first["aliases"], first["parent"], first["note"]) == (
        "sums@1", ["prod"], None, "the first"
    )  # fmt: skip
    assert (second["aliases"], second["parent"], second["note"]) == (["latest"], "sums@1", "trained on it")
    assert (second["rows"], second["stage"]) == (7, "stage2")
    assert second["bytes"] > 1000
    said = kat("list")
    assert "sums@1 prod" in said
    assert "latest sums@1" in said
    assert "note on 2" in kat("history", "sums")
    shown = kat("show", "sums@2")
    assert "aliases latest parent sums@1 " in shown
    assert "note trained on it" in shown
    assert kat("show", "sums@prod", "--json")["aliases"] == ["prod"]
    with pytest.raises(NotFoundError, match="no snapshot other"):
        kat("list", "--name", "other")


def test_a_difference_is_told_from_folders_where_there_is_no_registry(kat, root: Path) -> None:
    found = kat("diff", "sums@1", "sums@2", "--json", "--limit", 1)
    assert {name: found[name] for name in ("kept", "added", "removed", "changed")} == {
        "kept": 4, "added": 2, "removed": 1, "changed": 1
    }  # fmt: skip
    reasons = {(one["kind"], one["reason"]): one["rows"] for one in found["reasons"]}
    assert reasons == {("added", "unknown"): 2, ("removed", "unknown"): 1, ("changed", "rescored"): 1}
    assert len(found["rows"]) == 3
    assert found["labels"] == {"difficulty": 1}
    assert found["composition"] == [{"what": ["math", "think_off"], "before": 6, "after": 7}]
    assert found["unknown_to_registry"] == ["sums@1", "sums@2"]
    said = kat("diff", "sums@1", "sums@latest")
    assert "math think_off 6 7 +1" in said
    assert "difficulty 3 → 4" in said
    assert "removed unknown 1 The registry does not know the row." in said
    assert "every row is the same: 7" in kat("diff", "sums", "sums@2", "--no-registry")
    assert not (root.parent / "postgres").exists()


def tree(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what any write leaves a trace in: of folders too, as a file that came and went changes their time."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        at = path.stat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (at.st_mode, at.st_mtime_ns, at.st_ctime_ns, data)
    return found


def test_no_command_and_no_build_ever_writes_inside_a_version(kat, root: Path, tmp_path: Path) -> None:
    before = {version: tree(root / "sums" / version) for version in ("1", "2")}
    kat("list")
    kat("show", "sums@1", "--plot", tmp_path / "plot.png")
    kat("verify", "sums@1")
    kat("export", "sums@1", tmp_path / "out")
    kat("diff", "sums@1", "sums@2")
    kat("alias", "sums@1", "prod")
    kat("alias", "sums@2", "prod")
    kat("note", "sums@1", "old")
    kat("history", "sums")
    build(root, [a_row(n) for n in range(6)], "the same again")
    build(root, [a_row(n) for n in range(9)])
    assert {version: tree(root / "sums" / version) for version in before} == before
    assert sorted(path.name for path in (root / "sums").iterdir()) == ["1", "2", "3", "history.jsonl"]


def test_the_help_of_show_names_every_kind_of_label() -> None:
    assert "NAME@ALIAS" in " ".join(CliRunner().invoke(snapshots, ["show", "--help"]).stdout.split())
