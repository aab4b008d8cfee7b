"""What became of a row between two snapshots, and why: one enum, each reason with its sentence."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from kat_data.domain.drop import DropReason


class ChangeKind(StrEnum):
    """Which of the two snapshots holds the row."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"  # another sample of the same query, or the same sample with other labels


class ChangeReason(StrEnum):
    """A reason code; `sentence` explains it to people, of whichever snapshot it is that lacks the row."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> "ChangeReason":
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    WITHDRAWN = "withdrawn", "The query was withdrawn."
    REVIEW = "review", "A curator decided on the sample."
    VERDICT = "verdict", "The verifier judges the same answer otherwise."
    NEAR_DUPLICATE = "near_duplicate", "Another query that is alike but for a few words stands in its place."
    SEMANTIC_DUPLICATE = "semantic_duplicate", "There are enough queries that mean nearly the same."
    DECONTAMINATION = "decontamination", "The query holds an item of a benchmark."
    MIXTURE = "mixture", "The mixture asks for no more of such rows."
    RESCORED = "rescored", "The difficulty or the pass rate was measured anew."
    RELABELLED = "relabelled", "The category or the domain is another."
    SOURCE = "source", "The source or the licence is another."
    LICENCE = "licence", "The recipe does not allow the query's licence."
    SPLIT = "split", "The row stands in another split."
    MODE = "mode", "The thinking mode is another."
    JUDGE_ANALYSIS = "judge_analysis", "The same answer has another judge analysis."
    ANSWER = "answer", "Another call of the same recipe brought the answer."
    REMADE = "remade", "Another run brought the same sample."
    RECIPE = "recipe", "The recipes differ."
    RESPONSES = "responses", "The query brought fewer samples."
    DROPPED = "dropped", "The run dropped the query: the drop reason says why."
    NOT_CHOSEN = "not_chosen", "The run does not hold the query: its recipe's limit leaves it out."
    UNFINISHED = "unfinished", "The run had not come to the end of the query."
    NEW_QUERY = "new_query", "The query was imported after the other snapshot was built."
    UNKNOWN = "unknown", "The registry does not know the row."


REASONS: Final = tuple(ChangeReason)
"""Reasons by number, as arrays of a million rows hold them."""
BY_CODE: Final[Mapping[str, ChangeReason]] = MappingProxyType({reason.value: reason for reason in ChangeReason})

_OF_DROPS = {
    DropReason.WITHDRAWN: ChangeReason.WITHDRAWN,
    DropReason.NEAR_DUPLICATE: ChangeReason.NEAR_DUPLICATE,
    DropReason.CROWDED_CLUSTER: ChangeReason.SEMANTIC_DUPLICATE,
    DropReason.CONTAMINATED: ChangeReason.DECONTAMINATION,
    DropReason.OUTSIDE_MIXTURE: ChangeReason.MIXTURE,
    DropReason.NOT_NEEDED: ChangeReason.MIXTURE,
    DropReason.TOO_EASY: ChangeReason.RESCORED,
    DropReason.TOO_HARD: ChangeReason.RESCORED,
    DropReason.UNMEASURED: ChangeReason.RESCORED,
    DropReason.LICENCE_NOT_ALLOWED: ChangeReason.LICENCE,
}
OF_DROP: Final[Mapping[str, ChangeReason]] = MappingProxyType(
    {drop.value: _OF_DROPS.get(drop, ChangeReason.DROPPED) for drop in DropReason}
)
"""What each drop in one of the two runs means for the difference, by its code."""
