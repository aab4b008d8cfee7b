"""Pass rates, calibration and taxonomies as the shell shows them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.integration

IMPORT = ("queries", "import", "sums.jsonl", "--preset", "gsm8k", "--source", "sums", "--licence", "MIT")


@pytest.fixture
def measured(kat, questions: Path, endpoint, write_recipe) -> Any:
    """Measure the imported sums by one revision and return its run."""
    kat(*IMPORT)

    def measure(revision: str) -> int:
        member = {"model": "one", "max_tokens": 200}
        roles = ("taggers", "voters", "responder", "reasoner", "panel")
        path = write_recipe(
            endpoint.url,
            models={
                "one": {"endpoint": "scripted", "model": "scripted"},
                "policy": {"endpoint": "scripted", "model": "kat", "revision": revision},
            },
            roles={**{role: [member] for role in roles}, "policy": [{"model": "policy", "temperature": 1.0}]},
            stages=[
                "normalise",
                {"tag": {"labels": ["task"], "taxonomy": "mine.yaml"}},
                {"pass_rate": {"k": 6}},
                "vote_mode",
                "sample_off",
                "sample_on",
                "verify",
            ],
            snapshot={"stage": "stage1"},
        )
        (path.parent / "mine.yaml").write_text(yaml.safe_dump({"domains": {"sums": {"about": "adding"}}}))
        return int(kat.json("run", path, "--json")["run"])

    return measure


def test_revisions_are_listed_and_compared(kat, measured) -> None:
    for revision in ("step-1", "step-2"):
        measured(revision)
    rows = kat.json("queries", "pass-rates", "--json")
    assert {(row["policy"], row["revision"], row["queries"], row["rollouts"]) for row in rows} == {
        ("kat", "step-1", 12, 72),
        ("kat", "step-2", 12, 72),
    }
    [found] = kat.json("queries", "pass-rates", "--compare", "step-1", "step-2", "--json")
    assert (found["queries"], found["easier"], found["harder"]) == (12, 0, 0)
    assert found["mean_before"] == found["mean_after"]  # the endpoint is the same
    assert "queries measured by both revisions" in kat("queries", "pass-rates", "--compare", "step-1", "step-2").out
    assert "step-2" in kat("queries", "pass-rates", "--policy", "kat").out
    assert kat.json("queries", "pass-rates", "--policy", "other", "--json") == []


def test_a_runs_tags_are_calibrated(kat, measured) -> None:
    run = measured("step-1")
    found = kat.json("runs", "calibration", run, "--json")
    assert found["run"] == run
    policy = found["calibrations"][0]
    assert policy["basis"].startswith("kat@step-1")
    assert policy["queries"] == sum(level["queries"] for level in policy["bins"]) == 12
    assert set(policy["correlations"]) == {"scripted", "median"}
    assert "tagged difficulty of 12 queries against pass rates of kat@step-1" in kat("runs", "calibration", run).out


def test_a_sample_shows_its_pass_rate_and_labels(kat, measured) -> None:
    run = measured("step-1")
    ident = kat.json("samples", "list", "--run", run, "--json")[0]["id"]
    shown = kat("samples", "show", ident).out
    assert "pass rate of kat@step-1: " in shown
    assert "task: " in shown
    lineage = kat.json("samples", "show", ident, "--json")
    assert len(lineage["rollouts"]) == 6


def test_without_a_measurement_one_line_says_what_to_do(kat, questions, endpoint, write_recipe) -> None:
    kat(*IMPORT)
    run = kat.json("run", write_recipe(endpoint.url), "--json")["run"]
    assert kat.error("runs", "calibration", run, code=2) == (
        f"run {run} has no tags: calibration compares the stage `tag` with pass rates"
    )
    assert kat.error("runs", "calibration", 99, code=2).startswith("no run 99")
    assert "measured no query" in kat.error("queries", "pass-rates", "--compare", "a", "b", code=2)


def test_the_shipped_taxonomy_is_printed_as_yaml(kat) -> None:
    taxonomy = yaml.safe_load(kat("recipes", "taxonomy").out)
    assert list(taxonomy) == ["domains", "difficulty", "labels"]
