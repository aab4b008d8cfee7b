"""`kat benchmarks` in a shell: hits, what was overruled, and what a recipe misses before it runs."""

import json
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.integration

ITEM = (
    "A farmer has seventeen crates of apples with twenty-four apples in each, sells nine crates on Monday and a third "
    "of the rest on Tuesday. How many apples are left for Wednesday?"
)


def lines(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(json.dumps({"question": text}) for text in texts))
    return path


@pytest.fixture
def hit(kat, tmp_path: Path) -> dict[str, str]:
    """The one hit of three queries, two of which hold none."""
    queries = lines(tmp_path / "queries.jsonl", f"Please solve this carefully.\n\n{ITEM}", "What is 2 + 3?", "Why?")
    kat("queries", "import", queries, "--preset", "plain", "--source", "s", "--licence", "MIT")
    kat("benchmarks", "import", "farm", lines(tmp_path / "farm.jsonl", ITEM), "--preset", "plain")
    kat("decontaminate")
    [found] = kat.json("benchmarks", "hits", "--json")
    return found


def test_the_list_counts_what_was_overruled_and_hits_show_by_whom_and_why(kat, hit) -> None:
    def counts() -> tuple[int, int]:
        [farm] = kat.json("benchmarks", "list", "--json")
        return farm["hits"], farm["allowed"]

    assert counts() == (1, 0)
    assert kat.json("benchmarks", "hits", "--allowed", "--json") == []
    assert kat.json("benchmarks", "allow", hit["query"][:12], "--reason", "our own text", "--json") == {"cleared": 1}
    assert counts() == (1, 1)
    assert kat.json("benchmarks", "hits", "--json") == []
    [overruled] = kat.json("benchmarks", "hits", "--allowed", "--json")
    assert (overruled["query"], overruled["reason"]) == (hit["query"], "our own text")
    assert overruled["by"]
    assert "our own text" in kat("benchmarks", "hits", "farm", "--allowed").out


def test_a_removed_benchmark_is_named(kat, hit) -> None:
    assert kat.json("benchmarks", "remove", "farm", "--json") == {"removed": "farm"}
    assert kat.json("benchmarks", "list", "--json") == []


def test_a_recipe_that_misses_a_benchmark_says_so_before_its_run(kat, hit, write_recipe) -> None:
    def stages(*names: str) -> list[object]:
        return ["normalise", {"decontaminate": {"benchmarks": list(names)}}, "vote_mode", "sample_off", "sample_on",
                "verify", "judge_mode"]  # fmt: skip

    recipe = write_recipe("http://127.0.0.1:1/v1", stages=stages("farm", "barm", "gpqa"))
    said = kat("recipes", "validate", recipe)
    assert "valid; stages: normalise, decontaminate" in said.out
    assert said.err.splitlines() == [
        "before a run: there is no benchmark `barm`: did you mean `farm`?",
        "before a run: there is no benchmark `gpqa` (known are: farm): "
        "`kat benchmarks import gpqa FILE --preset PRESET` imports it",
    ]
    assert "no benchmark `gpqa`" in kat("models", "check", recipe, code=3).err
    assert "did you mean `farm`" in kat.error("run", recipe, code=2)
    assert kat("recipes", "validate", write_recipe("http://127.0.0.1:1/v1", stages=stages("farm"))).err == ""


def test_a_recipe_without_any_benchmark_says_how_one_is_imported(kat, write_recipe) -> None:
    recipe = write_recipe("http://127.0.0.1:1/v1", stages=["normalise", "decontaminate", "vote_mode", "sample_off",
                                                           "sample_on", "verify", "judge_mode"])  # fmt: skip
    assert "there is no benchmark yet: `kat benchmarks import NAME FILE" in kat("recipes", "validate", recipe).err


def test_validating_starts_no_database(kat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KAT_DATABASE_URL")
    assert kat("recipes", "validate", "stage2_cold_start").err == ""
    assert not list((tmp_path / "home").glob("*"))


def test_small_commands_answer_programs_too(kat) -> None:
    assert kat.json("db", "upgrade", "--json") == {"revision": kat.json("db", "status", "--json")["needed"]}
    assert kat.json("db", "stop", "--json") == {"stopped": False}
    taxonomy, shipped = kat.json("recipes", "taxonomy", "--json"), yaml.safe_load(kat("recipes", "taxonomy").out)
    assert list(taxonomy["domains"]) == list(shipped["domains"])
    assert list(taxonomy["difficulty"]["any"].values()) == list(shipped["difficulty"]["any"].values())
