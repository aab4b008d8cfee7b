"""Some rows of a shard, column by column: what is counted is counted with numpy, without a Python object a row."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kat_data.domain.mode import Mode, Switches

MODES: Final = tuple(mode.value for mode in Mode)


class Coded(NamedTuple):
    """A column of texts: the values that occur, and of each row the place of its own among them."""

    values: Sequence[str]
    codes: NDArray[Any]

    def take(self, places: NDArray[Any]) -> "Coded":
        """Return the column of other rows, each given by its place in this one."""
        return Coded(self.values, self.codes[places])


class Turns(NamedTuple):
    """The assistant's turns of a block in their order: the place of each one's row, and its mode.

    A mode that nobody knows has a place beyond `MODES`.
    """

    rows: NDArray[Any]
    modes: NDArray[Any]

    @property
    def follow(self) -> NDArray[Any]:
        """The turns that another turn of the same row follows."""
        known = self.modes < len(MODES)
        return np.flatnonzero((self.rows[:-1] == self.rows[1:]) & known[:-1] & known[1:])


def tally(*columns: Coded) -> Counter[tuple[str, ...]]:
    """Count rows by their values in several columns of equal length."""
    if not len(columns[0].codes):
        return Counter()
    sizes = [len(column.values) for column in columns]
    keys, counts = np.unique(np.ravel_multi_index([column.codes for column in columns], sizes), return_counts=True)
    places = [place.tolist() for place in np.unravel_index(keys, sizes)]
    names = [[column.values[code] for code in found] for column, found in zip(columns, places, strict=True)]
    return Counter(dict(zip(zip(*names, strict=True), counts.tolist(), strict=True)))


class Block:
    """The rows of one Arrow batch; a column that the batch does not have is none."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rows: int = batch.num_rows

    @cached_property
    def category(self) -> Coded:
        return self.texts("category")

    @cached_property
    def domain(self) -> Coded:
        return self.texts("domain")

    @cached_property
    def mode(self) -> Coded:
        return self.texts("mode")

    @cached_property
    def difficulty(self) -> NDArray[Any]:
        return _floats(self.batch.column("difficulty"))

    @cached_property
    def pass_rate(self) -> NDArray[Any] | None:
        return _floats(self.batch.column("pass_rate")) if self.has("pass_rate") else None

    @cached_property
    def turns(self) -> Turns | None:
        if not self.has("turns"):
            return None
        turns = self.batch.column("turns")
        return Turns(pc.list_parent_indices(turns).to_numpy(), modes_of(pc.struct_field(turns.flatten(), "mode")))

    @cached_property
    def switches(self) -> Coded:
        """Whether the modes change from turn to turn; empty of what has one turn."""
        places = np.zeros(self.rows, dtype=np.int64)
        if self.turns is not None:
            rows, modes, follow = self.turns.rows, self.turns.modes, self.turns.follow
            places[rows[follow]] = 1
            places[rows[follow[modes[follow] != modes[follow + 1]]]] = 2
        return Coded(("", Switches.NO.value, Switches.YES.value), places)

    @cached_property
    def prompts(self) -> tuple[pa.Array, NDArray[Any]]:
        """The texts that answers were given to, and the place of each one's row."""
        column, field = ("prompt", "content") if self.turns is None else ("turns", "user")
        messages = self.batch.column(column)
        return pc.struct_field(messages.flatten(), field), pc.list_parent_indices(messages).to_numpy()

    @cached_property
    def verdicts(self) -> tuple[Coded, ...] | None:
        """Verifier, outcome and status of what was judged; none where the rows have no such column."""
        if not self.has("verdict"):
            return None
        verdict = self.batch.column("verdict").drop_null()
        return tuple(coded(pc.struct_field(verdict, name)) for name in ("verifier", "outcome", "status"))

    def has(self, name: str) -> bool:
        """Whether the batch has a column of this name."""
        return name in self.batch.schema.names

    def texts(self, name: str) -> Coded:
        """Return a column of texts."""
        return coded(self.batch.column(name))


def coded(texts: pa.Array) -> Coded:
    """Return a column of texts, in which none is the empty one."""
    encoded = pc.fill_null(texts, "").dictionary_encode()
    return Coded(encoded.dictionary.to_pylist(), encoded.indices.to_numpy())


def modes_of(column: pa.Array) -> NDArray[Any]:
    """Return the places of modes in `MODES`, and one beyond it for anything else."""
    codes = pc.index_in(column, value_set=pa.array(MODES))
    found: NDArray[Any] = pc.fill_null(codes, len(MODES)).to_numpy()
    return found


def _floats(column: pa.Array) -> NDArray[Any]:
    """The numbers of a column, in which none is NaN."""
    found: NDArray[Any] = pc.fill_null(column, float("nan")).to_numpy(zero_copy_only=False)
    return found
