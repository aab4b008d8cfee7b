"""Semantic clusters of a run: embedded once, clustered before the first item, and thinned out by the stage."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from kat_data.domain.category import Category
from kat_data.domain.contamination import ItemKind
from kat_data.domain.query import Query
from kat_data.domain.states import RunState
from kat_data.errors import BudgetExhausted, EndpointDown, UserError
from kat_data.pipeline import clustering
from kat_data.registry import benchmarks, embeddings, queries
from kat_data.testing import a_query
from kat_data.testing.embeddings import bag_of_words
from kat_data.testing.scripted_server import Fault, ScriptedServer

pytestmark = pytest.mark.integration

Plain = dict[str, Any]
TOPICS = (
    "Write a short poem about the sea in winter and the gulls above it",
    "Explain how bread dough rises when yeast is warm enough",
    "Plan a week of dinners for a family that eats no meat",
)


def general(words: str) -> Query:
    return a_query(words, reference=None, category=Category.GENERAL)


def alike() -> list[Query]:
    """Four of the first topic, two of the second, one of the third, and a maths query like them all."""
    endings = ("", ", please", ", kindly", ", thanks")
    first = [general(TOPICS[0] + end) for end in endings]
    second = [general(TOPICS[1] + end) for end in endings[:2]]
    return [*first, *second, general(TOPICS[2]), a_query(TOPICS[0] + ", now")]


@pytest.fixture
def clustered(lean: Callable[..., Plain]) -> Callable[..., Plain]:
    """Build a recipe that clusters general queries and answers what is left."""

    def make(*, options: Plain | None = None, model: Plain | None = None, **parts: Any) -> Plain:
        plain = lean(**parts)
        plain["models"]["vectors"] = {
            "endpoint": "scripted",
            "model": "vectors",
            "price": {"prompt": 1.0},
            **(model or {}),
        }
        plain["roles"] = plain["roles"] | {"embedder": [{"model": "vectors"}]}
        plain["stages"] = ["normalise", {"cluster": {"threshold": 0.8, **(options or {})}}, *plain["stages"][1:]]
        return plain

    return make


def dropped(registry: Any, run: int) -> list[str]:
    with registry.engine.connect() as connection:
        sql = text("""
            SELECT messages->0->>'content' FROM work_items JOIN queries ON queries.id = query_id
            WHERE run_id = :run AND reason = 'crowded_cluster' ORDER BY 1
        """)
        return list(connection.execute(sql, {"run": run}).scalars())


def asked(server: ScriptedServer) -> list[list[str]]:
    return [body["input"] for body in server.bodies if "input" in body]


async def test_of_each_cluster_one_query_stays(registry, server, run, add_queries, clustered, look) -> None:
    add_queries(*alike())
    row = await run(clustered())
    gone = dropped(registry, row.id)
    assert row.state is RunState.FINISHED
    assert [sum(text.startswith(topic) for text in gone) for topic in TOPICS] == [3, 1, 0]
    assert not any(text.endswith("now") for text in gone)  # the maths query
    assert [len(batch) for batch in asked(server)] == [7]
    with registry.engine.connect() as connection:
        totals = embeddings.cluster_totals(connection, row.id)
        largest = embeddings.largest_clusters(connection, row.id, limit=5, members=10)
        made = {model["model"]: model["calls"] for model in queries.models_of(connection, row.id)}
    assert totals == {"queries": 7, "clusters": 2, "within": 6}
    assert [cluster["size"] for cluster in largest] == [4, 2]
    similarities = [member["similarity"] for member in largest[0]["members"]]
    assert similarities == sorted(similarities, reverse=True)
    assert largest[0]["members"][0]["prompt"] not in gone
    assert made["vectors"] == 1
    assert look.spent(row.id) > 0


async def test_nothing_is_embedded_or_clustered_twice(registry, server, run, add_queries, clustered) -> None:
    add_queries(*alike())
    first = await run(clustered())
    await run(clustered())
    again = await run(clustered(seed=6))
    assert len(asked(server)) == 1
    assert dropped(registry, again.id) == dropped(registry, first.id)
    add_queries(general(TOPICS[2] + " either"))
    await run(clustered())
    assert asked(server)[1:] == [[TOPICS[2] + " either"]]
    await run(clustered(model={"revision": "two"}))
    assert [len(batch) for batch in asked(server)[2:]] == [8]


async def test_how_many_stay_and_which_is_the_recipes_to_say(registry, run, add_queries, clustered) -> None:
    add_queries(*alike())
    nearest = await run(clustered(options={"per_cluster": 2}))
    assert len(dropped(registry, nearest.id)) == 2
    picks = set()
    for seed in range(6):
        row = await run(clustered(seed=seed, options={"per_cluster": 1, "pick": "random"}))
        gone = dropped(registry, row.id)
        assert len(gone) == 4
        picks.add(tuple(gone))
    assert len(picks) > 1
    none = await run(clustered(options={"threshold": 1.0}))
    assert dropped(registry, none.id) == []


async def test_what_a_benchmark_holds_takes_nobodys_place(registry, run, add_queries, clustered, look) -> None:
    add_queries(*alike()[:2])
    [first, *_] = alike()
    benchmarks.add_items(registry, "poems", [(1, ItemKind.PROSE, first.user_turns[0])])
    recipe = clustered()
    recipe["stages"].insert(1, "decontaminate")
    row = await run(recipe)
    assert look.reasons(row.id) - {"contaminated"} <= {None}
    with registry.engine.connect() as connection:
        clusters = embeddings.cluster_totals(connection, row.id)
    assert clusters["clusters"] == 0


async def test_a_refused_text_is_left_alone_and_not_asked_for_again(
    registry, run, add_queries, clustered, lean
) -> None:
    texts = [general(f"Tell a story about number {n}, one, two and three.") for n in range(5)]
    add_queries(*texts, general("Tell a story that is far too long."))

    def embed(words: str) -> list[float] | Fault:
        return Fault(status=400, text="too long") if "too long" in words else bag_of_words(words)

    async with ScriptedServer(embed=embed) as server:
        recipe = clustered(url=server.url)
        row = await run(recipe)
        requests = len(asked(server))
        await run(clustered(url=server.url, seed=9))
        assert len(asked(server)) == requests
    assert len(dropped(registry, row.id)) == 4
    with registry.engine.connect() as connection:
        assert embeddings.cluster_totals(connection, row.id)["queries"] == 5


async def test_a_run_stopped_while_embedding_goes_on_there(
    registry, server, run, add_queries, clustered, look, monkeypatch
) -> None:
    monkeypatch.setattr(clustering, "BATCH", 2)
    add_queries(*alike())
    server.fail(*[Fault(status=500)] * 2)
    with pytest.raises((EndpointDown, Exception), match="HTTP 500"):
        await run(clustered(endpoint={"concurrency": 1, "retries": 1}))
    [stopped] = look.runs()
    assert stopped.state is RunState.STOPPED
    before = {tuple(batch) for batch in asked(server)[2:]}
    row = await run(clustered())
    assert row.state is RunState.FINISHED
    answered = [tuple(batch) for batch in asked(server)[2:]]
    assert len(answered) == len(set(answered)) == 4
    assert before < set(answered)


async def test_the_budget_holds_for_embeddings_too(run, add_queries, clustered, look) -> None:
    add_queries(*alike())
    with pytest.raises(BudgetExhausted):
        await run(clustered(budget={"tokens": 20}))
    assert look.spent(look.runs()[0].id) == 0


async def test_vectors_of_two_lengths_are_one_clear_line(registry, run, add_queries, clustered) -> None:
    add_queries(*alike())
    lengths = iter([16, 32] * 10)
    async with ScriptedServer(embed=lambda words: bag_of_words(words, 16)) as server:
        await run(clustered(url=server.url))
    add_queries(general("Something else, quite new."))
    async with ScriptedServer(embed=lambda words: bag_of_words(words, next(lengths) and 32)) as server:
        with pytest.raises(UserError, match="several lengths under one name: give the model a `revision`"):
            await run(clustered(url=server.url))
