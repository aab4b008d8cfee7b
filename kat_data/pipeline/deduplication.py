"""Deduplication over the registry: every query is compared once with all before it; pairs and clusters are kept."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from kat_data.dedup.bands import SCHEME
from kat_data.dedup.cluster import Member
from kat_data.dedup.joining import Settled, joinings
from kat_data.dedup.near import THRESHOLD, NearDuplicates
from kat_data.dedup.task import RULE, Task, compared_text, same_task, task_of
from kat_data.domain.query import Query
from kat_data.pipeline.band_stores import MirroredBands, RegistryBands, folder_of, lacking
from kat_data.registry import bands, clusters
from kat_data.registry.horizon import horizon
from kat_data.registry.session import Registry

METHOD = f"{SCHEME} threshold={THRESHOLD} {RULE}"
"""Changes whenever other pairs are found in the same texts: every query is then compared anew."""

_AT_ONCE = 16_384
_CHARACTERS = 1 << 26  # a batch of few long texts
_BULK = 10_000  # fewer queries are looked up in Postgres sooner than a file is opened

_QUERIES_AT_ONCE = 4096

Ids = NDArray[np.int64]
OnProgress = Callable[[int, int], None]


def compare_queries(registry: Registry, *, home: Path | None = None, on_progress: OnProgress = lambda *_: None) -> int:
    """Compare the queries that were not compared yet with all others, and return how many that were.

    Bulks are looked up in a file under `home` where one is given. `on_progress` is given how many are done, and of how
    many. Can be killed at any moment and goes on from there; several processes take turns.
    """
    through = horizon(registry)
    with clusters.open_connection(registry) as connection:
        with connection.transaction():
            clusters.lock(connection)
            marks = clusters.marks(connection, METHOD)
            total = clusters.count_between(connection, marks.checked, through)
        if not total and marks.settled >= marks.checked:
            return 0
        bulk = home is not None and total >= max(_BULK, lacking(home, marks.key, marks.checked))
        comparison = _Comparison(connection, through, home if bulk else None)
        done = 0
        while compared := comparison.go_on():
            done += compared
            on_progress(done, total)
        with connection.transaction():
            clusters.lock(connection)
            bands.ensure_index(connection)
            clusters.settle(connection)
            if done > marks.checked // 10:
                clusters.analyse(connection)
    return done


class _Comparison:
    """A pass over what was not compared yet, up to the id `through`; with a home it looks bands up in a file."""

    def __init__(self, connection: "psycopg.Connection[Any]", through: int, home: Path | None) -> None:
        self._connection = connection
        self._through = through
        self._home = home
        self._mirrored: MirroredBands | None = None

    def go_on(self) -> int:
        """Compare a batch in one transaction, and return how many queries it held."""
        connection = self._connection
        with connection.transaction():
            clusters.lock(connection)
            marks = clusters.marks(connection, METHOD)
            batch = clusters.next_queries(connection, marks.checked, self._through, _AT_ONCE, _CHARACTERS)
            if not batch:
                return 0
            tasks = _Tasks(connection)
            near = NearDuplicates(self._store(marks), lambda ids: _texts(connection, ids), eligible=tasks.eligible)
            pairs = near.add([query.id for query in batch], [compared_text(query.messages) for query in batch])
            _keep(connection, tasks.same(pairs), Settled(query=marks.settled, cluster=marks.settled_cluster))
            clusters.note_checked(connection, batch[-1].id)
            if self._mirrored:
                self._mirrored.note(batch[-1].id)
        return len(batch)

    def _store(self, marks: clusters.Marks) -> RegistryBands:
        if self._home is None:
            bands.ensure_index(self._connection)
            return RegistryBands(self._connection)
        if not marks.checked:
            bands.drop_index(self._connection)  # the file answers, and the pass cannot be settled without the index
        folder = folder_of(self._home, marks.key)
        if self._mirrored is None or self._mirrored.folder != folder:
            self._mirrored = MirroredBands(self._connection, folder)
        self._mirrored.catch_up(marks.checked)
        return self._mirrored


def _texts(connection: "psycopg.Connection[Any]", ids: Collection[int]) -> dict[int, str]:
    return {query.id: compared_text(query.messages) for query in clusters.messages_of(connection, ids)}


class _Tasks:
    """Decides for one batch which queries of like words are one task."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._tasks: dict[int, Task] = {}

    def eligible(self, first: Ids, second: Ids) -> NDArray[np.bool_]:
        """Return which pairs may be one task as far as what tells templates' siblings apart goes."""
        ids, places = np.unique(np.concatenate([first, second]), return_inverse=True)
        self._know(ids.tolist())
        tasks = [self._tasks[id_] for id_ in ids.tolist()]
        numbered: dict[tuple[object, ...], int] = {}
        strict = np.array([numbered.setdefault(task.strict, len(numbered)) for task in tasks])[places]
        loose = np.array([not task.one_answer for task in tasks])[places]
        one, other = slice(None, len(first)), slice(len(first), None)
        return np.asarray((strict[one] == strict[other]) | (loose[one] & loose[other]), bool)

    def same(self, pairs: Iterable[clusters.Pair]) -> list[clusters.Pair]:
        """Return the pairs that are one task; all of them were eligible."""
        return [pair for pair in pairs if same_task(self._tasks[pair[0]], self._tasks[pair[1]], pair[2])]

    def _know(self, ids: Collection[int]) -> None:
        new = [id_ for id_ in ids if id_ not in self._tasks]
        for start in range(0, len(new), _QUERIES_AT_ONCE):
            queries = clusters.queries_of(self._connection, new[start : start + _QUERIES_AT_ONCE])
            self._tasks |= {id_: task_of(query) for id_, query in queries.items()}


def _keep(connection: "psycopg.Connection[Any]", same: Sequence[clusters.Pair], settled: Settled) -> None:
    """Store pairs, and what they make of the clusters."""
    if not same:
        return
    standings = clusters.standings(connection, {id_ for pair in same for id_ in pair[:2]})
    edges = [(first, second) for first, second, _ in same]

    queries = clusters.queries_of(connection, {id_ for edge in edges for id_ in edge})

    def members(ids: Sequence[int]) -> Iterable[Member]:
        new = set(ids) - set(queries)
        queries.update(clusters.queries_of(connection, new) if new else {})
        return [member(id_, queries[id_]) for id_ in ids]

    clusters.store(connection, same, joinings(edges, standings, settled, members))


def member(id_: int, query: Query) -> Member:
    """Return what decides whether a query represents its cluster."""
    return Member(
        id=id_,
        has_reference=query.reference is not None or query.verifier is not None,
        length=sum(map(len, query.user_turns)),
        hash=query.hash,
    )
