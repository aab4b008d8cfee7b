"""`kat db dump`, `restore`, `size` and `kat calls prune` as a shell calls them."""

from pathlib import Path

import pytest

from kat_data.registry.session import Registry

pytestmark = pytest.mark.integration


@pytest.fixture
def finished(kat, questions: Path, endpoint, write_recipe) -> int:
    """A finished run over a dozen sums."""
    kat("queries", "import", "sums.jsonl", "--preset", "gsm8k", "--source", "sums", "--licence", "MIT")
    return int(kat.json("run", write_recipe(endpoint.url), "--json")["run"])


def test_a_registry_moves_to_another_database(
    kat, finished: int, bare_database: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = kat.json("runs", "show", finished, "--json")
    dumped = kat.json("db", "dump", "registry.dump", "--json")
    assert dumped == {"file": "registry.dump", "bytes": (tmp_path / "registry.dump").stat().st_size}
    assert "restore into an empty one" in kat.error("db", "restore", "registry.dump", code=2)
    monkeypatch.setenv("KAT_DATABASE_URL", bare_database.url)
    assert "registry.dump is restored" in kat("db", "restore", "registry.dump").err
    assert kat.json("runs", "show", finished, "--json") == shown


def test_sizes_are_printed(kat, finished: int) -> None:
    sizes = {row["table"]: row for row in kat.json("db", "size", "--json")}
    assert sizes["calls"]["total"] >= sizes["calls"]["heap"] + sizes["calls"]["indexes"] > 0
    assert "calls" in kat("db", "size").out


def test_calls_are_pruned(kat, finished: int) -> None:
    for wrong in ("90", "d", "1.5d", "-1d"):
        assert "write one such as 90d, 12h or 8w" in kat("calls", "prune", f"--older-than={wrong}", code=2).err
    assert kat.json("calls", "prune", "--older-than", "1w", "--json")["calls"] == 0
    dry = kat.json("calls", "prune", "--older-than", "0h", "--dry-run", "--json")
    assert "no key could be paid again" in kat("calls", "prune", "--older-than", "0h", "--dry-run").err
    done = kat.json("calls", "prune", "--older-than", "0h", "--run", finished, "--json")
    assert done == {**dry, "dry_run": False}
    assert done["calls"] > 0
    [sample, *_] = kat.json("samples", "list", "--json")
    said = kat("samples", "show", sample["id"]).err
    assert "of these calls: request pruned by `kat calls prune`; what they cost and brought stays" in said
    assert f"{done['calls']} keys can be paid again" in kat("calls", "prune", "--older-than=0d", "--replies").err
    calls = kat.json("samples", "show", sample["id"], "--json")["calls"]
    assert {(call["request"], call["reply"], call["pruned"]) for call in calls} == {(None, None, "request and reply")}
    assert kat.error("calls", "prune", "--older-than=0d", "--run=77", code=2).startswith("no run 77")
