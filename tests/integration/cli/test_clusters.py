"""`kat queries clusters`: what a run found to mean nearly the same."""

from pathlib import Path

import orjson
import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def poems(kat, tmp_path: Path) -> None:
    path = tmp_path / "poems.jsonl"
    asked = [f"Write a short poem about the sea in winter, {word}" for word in ("please", "thanks", "now")]
    rows = [{"instruction": words} for words in [*asked, "Explain how bread dough rises."]]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    kat("queries", "import", path, "--preset", "self_instruct", "--source", "poems", "--licence", "MIT")


def test_clusters_are_shown_with_the_query_that_represents_each(kat, poems, endpoint, write_recipe) -> None:
    assert "no semantic clusters yet" in kat.error("queries", "clusters", "--semantic", code=2)
    assert "--run goes with --semantic" in kat.error("queries", "clusters", "--run", "1", code=2)
    recipe = write_recipe(
        endpoint.url,
        roles={
            role: [{"model": "one", "max_tokens": 200}]
            for role in ("voters", "responder", "reasoner", "panel", "judge", "embedder")
        },
        stages=[
            "normalise",
            {"cluster": {"threshold": 0.8}},
            "vote_mode",
            "sample_off",
            "sample_on",
            "verify",
            "judge_mode",
        ],
    )
    checked = kat.json("models", "check", recipe, "--json")
    assert [(one["usable"], one["json_schema"]) for one in checked] == [(True, None)]
    run = kat.json("run", recipe, "--json")
    assert {entry["reason"]: entry["items"] for entry in run["funnel"]}["crowded_cluster"] == 2
    found = kat.json("queries", "clusters", "--semantic", "--json")
    assert {name: found[name] for name in ("run", "queries", "clusters", "within")} == {
        "run": run["run"], "queries": 4, "clusters": 1, "within": 3,
    }  # fmt: skip
    [cluster] = found["largest"]
    assert (cluster["size"], len(cluster["members"])) == (3, 3)
    assert cluster["least"] == min(member["similarity"] for member in cluster["members"])
    shown = kat("queries", "clusters", "--semantic", "--run", run["run"], "--members", 1)
    assert "and 1 more" in shown.out
    assert "3 of them stand in 1 clusters" in shown.err
    item = kat.json("runs", "items", run["run"], "--reason", "crowded_cluster", "--json")[0]
    assert kat.json("samples", "show", f"{run['run']}/{item['query']}", "--json")["semantic_clusters"]
