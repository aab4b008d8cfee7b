"""What a snapshot's shards hold, counted from their columns: whatever their number of rows, in the same memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from kat_data.errors import SnapshotError
from kat_data.snapshots.composition import Cell, cells, count_cells, count_steps, steps_by_category
from kat_data.snapshots.distribution import Distribution, DistributionCounts
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.survey.block import Block, tally
from kat_data.snapshots.survey.lengths import LengthCounts
from kat_data.snapshots.survey.scripts import count_scripts
from kat_data.snapshots.survey.statistics import Statistics, VerdictRows

_ROWS: Final = 4_096
_LABELS: Final = ("category", "domain", "difficulty", "mode", "source", "licence", "verdict")
_TURN: Final = ("user", "judge_analysis", "mode", "thinking", "answer")
_CONTENT: Final = {
    TrainingStage.STAGE1: ("prompt.list.element.content", "completion.list.element.content"),
    TrainingStage.STAGE2: tuple(f"turns.list.element.{name}" for name in _TURN),
    TrainingStage.STAGE3: ("prompt.list.element.content", "pass_rate"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the rows are: counts for the manifest's hashed part, and statistics for people."""

    rows: int
    composition: tuple[Cell, ...]
    transitions: dict[str, dict[str, int]]
    distribution: Distribution
    sources: dict[str, int]
    licences: dict[str, int]
    statistics: Statistics


class Surveyor:
    """A survey under way: batches of rows go in, and what other surveyors of the same mixture found."""

    def __init__(self, targets: Mapping[str, int]) -> None:
        self._rows = 0
        self._cells, self._steps = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        self._sources, self._licences = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        self._distribution = DistributionCounts(targets)
        self._lengths = LengthCounts()
        self._scripts, self._verdicts = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch, which has at least the columns that `survey` reads."""
        block = Block(batch)
        self._rows += block.rows
        self._cells.update(count_cells(block))
        self._steps.update(count_steps(block))
        self._sources.update(tally(block.texts("source")))
        self._licences.update(tally(block.texts("licence")))
        self._distribution.add(block)
        self._lengths.add(block)
        self._scripts.update(count_scripts(block))
        self._verdicts.update(tally(*block.verdicts) if block.verdicts else {})

    def merge(self, other: "Surveyor") -> None:
        """Add what another counted."""
        self._rows += other._rows
        self._cells.update(other._cells)
        self._steps.update(other._steps)
        self._sources.update(other._sources)
        self._licences.update(other._licences)
        self._distribution.merge(other._distribution)
        self._lengths.merge(other._lengths)
        self._scripts.update(other._scripts)
        self._verdicts.update(other._verdicts)

    def survey(self) -> Survey:
        """Return what was counted so far."""
        return Survey(
            rows=self._rows,
            composition=cells(self._cells),
            transitions=steps_by_category(self._steps),
            distribution=self._distribution.distribution(),
            sources=_plain(self._sources),
            licences=_plain(self._licences),
            statistics=self._statistics(),
        )

    def _statistics(self) -> Statistics:
        verdicts = (
            VerdictRows(verifier=verifier, outcome=outcome, status=status, rows=rows)
            for (verifier, outcome, status), rows in sorted(self._verdicts.items())
        )
        return Statistics(lengths=self._lengths.lengths(), scripts=_plain(self._scripts), verdicts=tuple(verdicts))


def survey(paths: Iterable[Path], stage: TrainingStage, targets: Mapping[str, int]) -> Survey:
    """Survey shards of a stage, with the mixture's `targets`; raises `SnapshotError` where one cannot be read."""
    surveyor = Surveyor(targets)
    for path in paths:
        for batch in batches(path, stage):
            surveyor.add(batch)
    return surveyor.survey()


def batches(path: Path, stage: TrainingStage) -> Iterator[pa.RecordBatch]:
    """Yield the columns of one shard that a survey counts; raises `SnapshotError` where it is no Parquet file."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield from file.iter_batches(_ROWS, columns=[*_LABELS, *_CONTENT[stage]])
    except (pa.ArrowException, OSError) as error:
        raise SnapshotError(f"{path} cannot be read as Parquet: {error}") from error


def _plain(counts: Counter[tuple[str, ...]]) -> dict[str, int]:
    return {name: count for (name,), count in sorted(counts.items())}
