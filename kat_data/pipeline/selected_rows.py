"""What a snapshot takes of a run: selected in the registry, rendered where that is not done, divided into splits."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kat_data.pipeline.rendering import render_stored
from kat_data.registry.selection import SelectedShard, Selection, select_samples
from kat_data.registry.session import Registry
from kat_data.snapshots.build.shards import PlannedShard
from kat_data.snapshots.build.write import SHARD_BYTES, SnapshotSpec
from kat_data.snapshots.mixture import targets

if TYPE_CHECKING:
    import pyarrow as pa

Tell = Callable[[str, int, int], None]
"""Told what is done to rows, to how many so far, and to how many in all."""

RENDERING: Final = "rendering"
WRITING: Final = "writing"

_LINKS: Final = ("query", "near", "meaning", "document")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedRows:
    """The plan of a snapshot, and the selection in the registry that gives its rows."""

    selection: Selection
    shards: Sequence[PlannedShard]
    selected: Mapping[str, SelectedShard]

    @property
    def duplicates(self) -> int:
        """How many samples were left out because another of the run says the same."""
        return self.selection.duplicates

    @property
    def surplus(self) -> int:
        """How many samples the mixture does not take."""
        return self.selection.surplus

    @property
    def rows(self) -> int:
        """How many rows the snapshot will have."""
        return sum(shard.rows for shard in self.shards)

    def batches(self, shard: PlannedShard) -> "Iterator[pa.RecordBatch]":
        """Yield the shard's rows in order, as `schema.rendered_schema` has them."""
        return self.selection.batches(self.selected[shard.path])


@contextmanager
def select_rows(
    registry: Registry, run: int, spec: SnapshotSpec, tell: Tell, *, shard_bytes: int = SHARD_BYTES
) -> Iterator[SelectedRows]:
    """Plan the snapshot of what a run accepted and nobody withdrew or rejected; rows can be read within the block.

    Raises `SnapshotError` where the splits cannot be filled, `TemplateError` where a sample cannot be rendered.
    """
    with select_samples(registry, run, spec.stage.value, spec.seed) as selection:
        wanted = targets(spec.recipe, spec.stage)
        if wanted:
            selection.narrow(wanted)
        _render(registry, selection, spec, tell)
        if spec.splits and selection.rows:
            _divide(selection, spec, by_mixture=bool(wanted))
        selected = {shard.path: one for shard, one in _planned(selection.arrange(shard_bytes))}
        shards = [shard for shard, _ in _planned(selected.values())]
        yield SelectedRows(selection=selection, shards=shards, selected=selected)


def _planned(selected: Iterable[SelectedShard]) -> Iterator[tuple[PlannedShard, SelectedShard]]:
    """Yield the shards of each split, numbered from 0."""
    numbers = Counter[str]()
    for one in selected:
        yield PlannedShard(split=one.split, number=numbers[one.split], rows=one.rows, inputs=one.inputs), one
        numbers[one.split] += 1


def _render(registry: Registry, selection: Selection, spec: SnapshotSpec, tell: Tell) -> None:
    ids = selection.unrendered()
    if not len(ids):
        return
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        tell(RENDERING, done, len(ids))

    render_stored(registry, ids.tolist(), spec.stage, count)
    selection.measure()


def _divide(selection: Selection, spec: SnapshotSpec, *, by_mixture: bool) -> None:
    import numpy as np
    import pyarrow as pa

    from kat_data.snapshots.build.splits import Divisible, divide

    rows = Divisible.from_batches(selection.to_divide(by_mixture=by_mixture), selection.rows, _LINKS)
    found = divide(rows, spec.splits)
    names = pa.array(np.repeat(list(found), [len(indices) for indices in found.values()]), pa.string())
    samples = rows.samples[np.concatenate(list(found.values()))]
    selection.divide(pa.table({"sample": samples, "other": names}))
