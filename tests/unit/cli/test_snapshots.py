"""What `kat snapshots show` says of a mixture, and where it draws."""

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from kat_data.cli import snapshots as commands
from kat_data.cli.snapshots import snapshots
from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import SnapshotError, UserError
from kat_data.hashing import content_hash
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.record import Row, TrainingStage


def a_row(number: int) -> Row:
    turn = Turn(user=f"{number} + 1?", judge_analysis="A sum.", mode=Mode.OFF, thinking="", answer=str(number + 1))
    return Row(
        sample=Sample(system=None, tools=(), turns=(turn,)),
        query=content_hash(["query", number]).hex(),
        lineage=content_hash(["lineage", number]).hex(),
        category=Category.MATH if number < 6 else Category.CODE,
        source="made-up",
        licence="MIT",
        verdict=Verdict(outcome=Outcome.CORRECT, status=Status.CORRECT, verifier="math/2"),
    )


@pytest.fixture
def publish(tmp_path: Path) -> Any:
    def write(counts: dict[str, int]) -> Path:
        spec = SnapshotSpec(
            name="sums",
            stage=TrainingStage.STAGE2,
            seed=0,
            recipe={"stages": [{"select": {"counts": counts}}] if counts else []},
            built_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return write_snapshot(tmp_path, spec, {"train": [a_row(number) for number in range(8)]}).path

    return write


def show(root: Path, *options: object) -> Any:
    return CliRunner().invoke(snapshots, ["show", "sums", "--root", str(root), *map(str, options)])


def test_every_stratum_is_compared_with_its_target(publish, tmp_path: Path) -> None:
    publish({"category=math": 5, "category=science": 5})
    said = " ".join(show(tmp_path).stdout.split())
    assert "category=math 5 50.0% 5 100.0% +50.0 pp filled" in said
    assert "category=science 5 50.0% 0 0.0% -50.0 pp short" in said
    assert "outside every stratum 0 0.0%" in said
    found = orjson.loads(show(tmp_path, "--json").stdout)
    assert found["hashed"]["rows"] == 5
    assert found["unhashed"]["surplus"] == 3
    assert (found["mixture"]["outside"], found["mixture"]["outside_share"]) == (0, 0.0)
    assert found["mixture"]["strata"][0] == {
        "stratum": "category=math", "target_rows": 5, "target_share": 0.5, "rows": 5, "share": 1.0,
        "difference": 50.0, "state": "filled",
    }  # fmt: skip


def test_statistics_are_shown(publish, tmp_path: Path) -> None:
    publish({})
    said = " ".join(show(tmp_path).stdout.replace("─", "").split())
    assert "lengths of texts tokens median 90 % 99 % most characters prompt 8 16 2 2 2 2 48" in said
    assert "scripts script rows share Latin 8 100.0%" in said
    [prompt, off] = orjson.loads(show(tmp_path, "--json").stdout)["unhashed"]["statistics"]["lengths"]
    assert (prompt["characters"], off["of"], off["texts"]) == ({"prompt": 48}, "think_off", 8)


def test_verify_tells_what_is_wrong_in_lines_and_as_json(publish, tmp_path: Path) -> None:
    path = publish({})
    command = ["verify", "sums", "--root", str(tmp_path), "--processes", "1"]
    assert CliRunner().invoke(snapshots, command).stdout == "sums: 8 rows, every hash and every row is right\n"
    (path / "README.md").write_text("other")
    failed = CliRunner().invoke(snapshots, [*command, "--json"])
    assert isinstance(failed.exception, SnapshotError)
    found = orjson.loads(failed.stdout)
    assert not found["ok"]
    assert "README.md was changed after it was written: its sha256 does not match" in found["problems"]


def test_nothing_is_compared_without_a_mixture(publish, tmp_path: Path) -> None:
    publish({})
    assert "mixture" not in show(tmp_path).stdout
    assert orjson.loads(show(tmp_path, "--json").stdout)["mixture"] is None


def test_a_mixture_by_pass_rate_is_said_to_be_untold(publish, tmp_path: Path) -> None:
    publish({"pass_rate=0.1..0.9": 8})
    assert "asks for pass_rate, which rows of stage2 do not hold" in show(tmp_path).stdout


def test_the_plot_is_drawn_where_it_is_wanted(publish, tmp_path: Path) -> None:
    stored = publish({"category=math": 5}) / "composition.png"
    said = show(tmp_path, "--plot", tmp_path / "figure.png", "--json")
    assert orjson.loads(said.stdout)["mixture"]
    assert str(tmp_path / "figure.png") in said.stderr
    assert (tmp_path / "figure.png").read_bytes() == stored.read_bytes()
    assert isinstance(show(tmp_path, "--plot", tmp_path / "figure.jpg").exception, UserError)


def test_what_unchanged_content_does_not_take_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"snapshot": "sums@1", "rows": 8, "path": "p", "existed": True, "splits": {}, "surplus": 0, "withdrawn": 0}
    monkeypatch.setattr(commands, "open_registry", nullcontext)
    monkeypatch.setattr(commands, "_create_here", lambda registry, wanted, root: found)
    said = CliRunner().invoke(snapshots, ["create", "--run", "1", "--parent", "sums@2", "--note", "again"]).stderr
    assert "nor was your note: `kat snapshots note sums@1 TEXT` puts it beside the version" in said
    assert "nor was your parent: a version keeps the one that it was built with" in said
    assert CliRunner().invoke(snapshots, ["create", "--run", "1"]).stderr == ""
