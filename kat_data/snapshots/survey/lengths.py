"""How long prompts and answers are: by mode, in characters and in tokens.

No tokenizer is asked: `TOKEN_BYTES` bytes of UTF-8 count as one token, which is about right for English prose, code
and Chinese alike, and gives the same number on every machine.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kat_data.snapshots.survey.block import MODES, Block, modes_of

TOKEN_BYTES: Final = 4
PROMPT: Final = "prompt"
_BEGINS: Final[Sequence[int]] = [*range(16), *((16 + part) << octave for octave in range(20) for part in range(16))]
"""Where bins of tokens begin: exact below 32, then sixteen bins an octave, so that a bin is at most 6 % wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The lengths of a snapshot's prompts (`of` is `prompt`), or of its answers in one mode.

    `characters` has a sum for each part of the text. Tokens are estimated; `median`, `p90` and `p99` are those of one
    text, to within 6 %, and `longest` is exact. `histogram` counts texts by tokens, in bins that begin at powers of 2.
    """

    of: str
    texts: int
    characters: dict[str, int]
    tokens: int
    median: int
    p90: int
    p99: int
    longest: int
    histogram: dict[str, int]


class LengthCounts:
    """Lengths as they are counted, block by block."""

    def __init__(self) -> None:
        self._bins: dict[str, NDArray[Any]] = {}
        self._characters: Counter[tuple[str, str]] = Counter()
        self._tokens: Counter[str] = Counter()
        self._longest: Counter[str] = Counter()

    def add(self, block: Block) -> None:
        """Count the prompts and the answers of a block."""
        for of, parts in _answers(block):
            self._count(of, sum((_bytes(part) for part in parts.values()), np.int64(0)))
            for name, part in parts.items():
                self._characters[of, name] += _characters(part)
        prompts, rows = block.prompts
        self._count(PROMPT, np.bincount(rows, _bytes(prompts), block.rows).astype(np.int64))
        self._characters[PROMPT, "prompt"] += _characters(prompts)

    def merge(self, other: "LengthCounts") -> None:
        """Add what another counted."""
        for of, bins in other._bins.items():
            self._bins[of] = self._bins.get(of, 0) + bins
        self._characters.update(other._characters)
        self._tokens.update(other._tokens)
        self._longest |= other._longest

    def lengths(self) -> tuple[Lengths, ...]:
        """Return what was counted: prompts first, then the modes that occur."""
        return tuple(self._lengths(of) for of in (PROMPT, *MODES) if of in self._bins)

    def _count(self, of: str, sizes: Any) -> None:
        if len(sizes):
            tokens = -(-sizes // TOKEN_BYTES)
            places = np.searchsorted(_BEGINS, tokens, side="right") - 1
            self._bins[of] = self._bins.get(of, 0) + np.bincount(places, minlength=len(_BEGINS))
            self._tokens[of] += int(tokens.sum())
            self._longest[of] = max(self._longest[of], int(tokens.max()))

    def _lengths(self, of: str) -> Lengths:
        bins = self._bins[of]
        median, p90, p99 = (_quantile(bins, percent) for percent in (50, 90, 99))
        return Lengths(
            of=of,
            texts=int(bins.sum()),
            characters={name: count for (other, name), count in self._characters.items() if other == of},
            tokens=self._tokens[of],
            median=median,
            p90=p90,
            p99=p99,
            longest=self._longest[of],
            histogram=_octaves(bins),
        )


def _quantile(bins: NDArray[Any], percent: int) -> int:
    """How long the text is, by its bin, that `percent` of the texts are not longer than."""
    return _BEGINS[int(np.searchsorted(bins.cumsum() * 100, int(bins.sum()) * percent))]


def _octaves(bins: NDArray[Any]) -> dict[str, int]:
    counts: Counter[int] = Counter()
    for begin, count in zip(_BEGINS, bins.tolist(), strict=True):
        counts[1 << (begin.bit_length() - 1) if begin else 0] += count
    return {str(begin): count for begin, count in sorted(counts.items()) if count}


def _answers(block: Block) -> Iterator[tuple[str, Mapping[str, pa.Array]]]:
    """Yield the parts of the answers by mode, as arrays of texts that belong together by their place."""
    if block.turns is not None:
        turns = block.batch.column("turns").flatten()
        parts = {name: pc.struct_field(turns, name) for name in ("judge_analysis", "thinking", "answer")}
        yield from _by_mode(block.turns.modes, parts)
    elif block.has("completion"):
        completion = block.batch.column("completion")
        modes = modes_of(block.batch.column("mode"))[pc.list_parent_indices(completion).to_numpy()]
        yield from _by_mode(modes, {"completion": pc.struct_field(completion.flatten(), "content")})


def _by_mode(modes: NDArray[Any], parts: Mapping[str, pa.Array]) -> Iterator[tuple[str, Mapping[str, pa.Array]]]:
    for code, mode in enumerate(MODES):
        of_mode = pa.array(modes == code)
        yield mode, {name: part.filter(of_mode) for name, part in parts.items()}


def _bytes(texts: pa.Array) -> NDArray[Any]:
    found: NDArray[Any] = pc.fill_null(pc.binary_length(texts), 0).to_numpy().astype(np.int64)
    return found


def _characters(texts: pa.Array) -> int:
    found: int | None = pc.sum(pc.utf8_length(texts)).as_py()
    return found or 0
