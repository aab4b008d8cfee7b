"""Semantic clusters of a run: its queries are embedded, each once for a model and revision, and then clustered.

Both happen before the first item is worked on, so that what is kept of a cluster does not hang on who comes first, and
a run that is taken up again decides as it did before.
"""

import asyncio
import tempfile
from collections.abc import Container, Iterator, Sequence

from kat_data.domain.category import Category
from kat_data.errors import UserError
from kat_data.llm.embedder import Embedder
from kat_data.pipeline.look import contamination_of_run, near_duplicates_of_run
from kat_data.registry import embeddings
from kat_data.registry.asked import Asked
from kat_data.registry.embeddings import Embedding, Membership
from kat_data.registry.session import Registry
from kat_data.stages.cluster import ClusterQueries
from kat_data.stages.decontaminate import Decontaminate
from kat_data.stages.deduplicate import Deduplicate
from kat_data.stages.stage import Stage

BATCH = 64
"""Texts in one request: endpoints take 96 and more, and one of 64 long texts is some hundred kilobytes."""

MAX_CHARS = 8000
"""Of longer texts the beginning is embedded: most models read 512 to 8,192 tokens."""


async def cluster_run(
    registry: Registry, run: int, stages: Sequence[Stage], embedder: Embedder, *, at_once: int
) -> None:
    """Embed a run's queries that lack it, and store their clusters, unless they are known; `at_once` bounds the calls.

    Queries that the run's other stages are sure to drop are in no cluster, and take nobody's place.
    """
    [stage] = [stage for stage in stages if isinstance(stage, ClusterQueries)]
    categories = [category.value for category in stage.only or Category]
    with registry.engine.begin() as connection:
        if embeddings.has_clusters(connection, run):
            return
        ident = embeddings.embedder_id(connection, embedder.name, embedder.revision)
    await _embed(registry, run, ident, categories, embedder, at_once)
    leaving = await asyncio.to_thread(_leaving, registry, run, stages, categories)
    await asyncio.to_thread(_cluster, registry, run, ident, categories, stage.threshold, leaving)


def _leaving(registry: Registry, run: int, stages: Sequence[Stage], categories: Sequence[str]) -> set[bytes]:
    """Return the hashes of the queries that other stages drop, and that can take nobody's place."""
    leaving: set[bytes] = set()
    for stage in stages:
        if not all(stage.serves(Category(category)) for category in categories):
            continue  # who is left out of these categories shows only later
        if isinstance(stage, Decontaminate):
            hits = contamination_of_run(registry, run)
            leaving |= {key for key, found in hits.items() if any(stage.counts(hit) for hit in found)}
        elif isinstance(stage, Deduplicate):
            leaving |= near_duplicates_of_run(registry, run, stage).keys()
    return leaving


async def _embed(
    registry: Registry, run: int, ident: int, categories: Sequence[str], embedder: Embedder, at_once: int
) -> None:
    """Embed batch by batch, in the order of ids: after a kill the same batches are asked for, and not paid again."""
    seats = asyncio.Semaphore(at_once)
    after = 0
    while True:
        with registry.engine.connect() as connection:
            page = embeddings.next_unembedded(
                connection, run, ident, categories, after=after, limit=4 * at_once * BATCH
            )
        if not page:
            return
        after = page[-1].id
        batches = (page[start : start + BATCH] for start in range(0, len(page), BATCH))
        work = [_embed_batch(registry, ident, batch, embedder, seats) for batch in batches]
        # All of them end before the first error is raised: what was paid for is stored.
        for error in filter(None, await asyncio.gather(*work, return_exceptions=True)):
            raise error


async def _embed_batch(
    registry: Registry, ident: int, batch: Sequence[Asked], embedder: Embedder, seats: asyncio.Semaphore
) -> None:
    async with seats:
        found = await embedder.embed([_text(query) for query in batch])
    rows = [
        Embedding(query=query.id, vector=one.vector, call=one.call) for query, one in zip(batch, found, strict=True)
    ]
    with registry.engine.begin() as connection:
        embeddings.store(connection, ident, rows)


def _text(query: Asked) -> str:
    return "\n\n".join(query.texts)[:MAX_CHARS] or " "


def _cluster(
    registry: Registry,
    run: int,
    ident: int,
    categories: Sequence[str],
    threshold: float,
    leaving: Container[bytes],
) -> None:
    """Cluster the vectors in a file, so that a million of them take no memory of their own."""
    import numpy as np

    from kat_data.dedup.semantic import cluster

    with registry.engine.connect() as connection, tempfile.TemporaryFile() as file:
        count, sizes = embeddings.count_embedded(connection, run, ident, categories)
        if not count:
            return
        if len(sizes) > 1:
            raise UserError("the embedder gave vectors of several lengths under one name: give the model a `revision`")
        ids = np.empty(count, np.int64)
        kept = 0
        for query, key, vector in embeddings.vectors_of_run(connection, run, ident, categories):
            if key not in leaving:
                ids[kept] = query
                file.write(vector)
                kept += 1
        if not kept:
            return
        file.flush()
        vectors = np.memmap(file, dtype="<f2", mode="r", shape=(kept, sizes[0] // 2))
        found = cluster(vectors, threshold)
        embeddings.store_clusters(
            registry,
            run,
            ident,
            _members(ids[:kept].tolist(), found.representative.tolist(), found.similarity.tolist()),
        )


def _members(ids: Sequence[int], representatives: Sequence[int], similarities: Sequence[float]) -> Iterator[Membership]:
    for query, representative, similarity in zip(ids, representatives, similarities, strict=True):
        yield Membership(query=query, representative=ids[representative], similarity=min(similarity, 1.0))
