"""Curators' acts on samples, and which of them say whether a sample goes into snapshots."""

from enum import StrEnum


class Act(StrEnum):
    """What a curator did; decisions are only ever added, so that taking one back is an act of its own."""

    ACCEPT = "accept"
    REJECT = "reject"
    EDIT = "edit"
    PICK = "pick"  # another of the candidates
    MODE = "mode"  # another thinking mode
    TAG = "tag"
    SKIP = "skip"
    FLAG = "flag"
    UNDO = "undo"


SETTLING = frozenset({Act.ACCEPT, Act.REJECT, Act.EDIT, Act.PICK, Act.MODE})
"""The acts that settle what becomes of a sample: the last of them that was not undone holds.

Who skips a rejected sample, flags it or gives it a tag, leaves it rejected.
"""
