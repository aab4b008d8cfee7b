"""Decontamination over the registry: every query is checked once against every benchmark, and the hits are kept."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from kat_data.decontam.index import Decontaminator
from kat_data.decontam.item import BenchmarkItem
from kat_data.errors import UserError
from kat_data.registry import benchmarks
from kat_data.registry.asked import Asked
from kat_data.registry.horizon import horizon
from kat_data.registry.session import Registry

METHOD = "ngram13/1"
"""Changes whenever other hits are found in the same texts: every query is then checked anew."""

_AT_ONCE = 2000
_CHARACTERS = 16_000_000


def check_queries(registry: Registry, on_progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Check the queries that were not checked yet, and return how many that were.

    `on_progress` is given how many are done, and of how many. Can be killed at any moment and goes on from there.
    Raises `UserError` where there is no benchmark.
    """
    through = horizon(registry)
    with registry.engine.begin() as connection:
        benchmarks.lock(connection)
        benchmarks.forget_checks(connection, METHOD)
        total = benchmarks.count_unchecked(connection, through)
        if not total and not benchmarks.list_benchmarks(connection):
            raise UserError("There is no benchmark: `kat benchmarks import NAME FILE --preset PRESET` imports one.")
    check = _Check(registry, through)
    done = 0
    while checked := check.go_on():
        done += checked
        on_progress(done, total)
    return done


class _Check:
    """A pass over what was not checked yet, up to the id `through`."""

    def __init__(self, registry: Registry, through: int) -> None:
        self._registry = registry
        self._through = through
        self._edition: tuple[int, int] | None = None
        self._matcher = Decontaminator(())

    def go_on(self) -> int:
        """Check a batch in one transaction, and return how many queries it held."""
        with self._registry.engine.begin() as connection:
            benchmarks.lock(connection)
            queries = benchmarks.next_unchecked(connection, self._through, _AT_ONCE, _CHARACTERS)
            if queries:
                self._read_items(connection)
                benchmarks.note(connection, self._found(queries), queries[-1].id)
        return len(queries)

    def _read_items(self, connection: Connection) -> None:
        """Read the items anew where they changed: a batch is noted as checked against all that there are now."""
        edition = benchmarks.edition(connection)
        if edition != self._edition:
            self._edition = edition
            self._matcher = Decontaminator(
                BenchmarkItem(benchmark=item.benchmark, key=str(item.id), text=item.text, kind=item.kind)
                for item in benchmarks.items(connection)
            )

    def _found(self, queries: Sequence[Asked]) -> list[benchmarks.Found]:
        return [
            benchmarks.Found(
                query=query.id,
                item=int(hit.key),
                kind=hit.kind,
                query_span=hit.span,
                item_span=hit.item_span,
                share=hit.share,
            )
            for query in queries
            for hit in self._matcher.check("\n\n".join(query.texts))
        ]
