"""What prompts are written in, told by their letters: a rough guess at languages where nobody tagged them."""

from collections import Counter
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kat_data.snapshots.survey.block import Block, Coded, tally

_LETTERS: Final = {
    "Kana": r"[\p{Hiragana}\p{Katakana}]",
    "Hangul": r"\p{Hangul}",
    "Han": r"\p{Han}",
    "Arabic": r"\p{Arabic}",
    "Cyrillic": r"\p{Cyrillic}",
    "Devanagari": r"\p{Devanagari}",
    "Hebrew": r"\p{Hebrew}",
    "Thai": r"\p{Thai}",
}
SCRIPTS: Final = (*_LETTERS, "Latin")
"""In this order a prompt is in the first of them that a tenth of its characters are in, and in Latin else."""


def count_scripts(block: Block) -> Counter[tuple[str, ...]]:
    """Count the rows of a block by the script of their prompts."""
    texts, rows = block.prompts
    places = np.full(block.rows, len(_LETTERS))
    strange = np.flatnonzero(~pc.string_is_ascii(texts).fill_null(True).to_numpy(zero_copy_only=False))
    few, places_of = texts.take(pa.array(strange)), rows[strange]
    characters = np.bincount(rows, pc.fill_null(pc.utf8_length(texts), 0).to_numpy(), block.rows)
    for place, letters in reversed(list(enumerate(_LETTERS.values()))):
        found = np.bincount(places_of, pc.count_substring_regex(few, letters).to_numpy(), block.rows)
        places[(found > 0) & (10 * found >= characters)] = place
    return tally(Coded(SCRIPTS, places))
