"""`kat deduplicate` and `kat queries clusters`."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

TEXT = "Describe in five sentences how a beekeeper gets a colony through a long and wet winter"
ROWS = [TEXT, f"{TEXT}, please.", f"{TEXT} without sugar.", "Who painted the ceiling of the Sistine Chapel?"]


@pytest.fixture
def bees(kat, tmp_path: Path) -> None:
    path = tmp_path / "bees.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in ROWS))
    kat("queries", "import", path, "--preset", "plain", "--source", "bees", "--licence", "MIT")


@pytest.mark.usefixtures("bees")
def test_clusters_are_found_once_and_shown(kat) -> None:
    found = kat.json("deduplicate", "--json")
    assert {name: found[name] for name in ("compared", "queries", "clusters", "duplicates")} == {
        "compared": 4,
        "queries": 4,
        "clusters": 1,
        "duplicates": 2,
    }
    [cluster] = found["largest"]
    assert cluster["size"] == 3
    assert cluster["representative"]["messages"][0]["content"] == ROWS[2]  # the longest
    assert [member["similarity"] for member in cluster["members"]] == pytest.approx([14 / 15, 14 / 15])
    assert kat.json("deduplicate", "--json")["compared"] == 0
    assert kat.json("queries", "clusters", "--json") == found["largest"]
    assert kat.json("queries", "clusters", "--limit", 0, "--json") == []


@pytest.mark.usefixtures("bees")
def test_the_report_is_a_table(kat) -> None:
    said = kat("deduplicate", "--report", "--members", 1)
    assert "1 (3)" in said.out
    assert "stays" in said.out
    assert "and 1 more" in said.out
    assert said.err.splitlines()[-1] == "4 queries compared now; 4 in all, 2 duplicates in 1 cluster"
    assert "and 1 more" not in kat("queries", "clusters").out
