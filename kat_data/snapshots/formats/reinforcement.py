"""Rows for reinforcement learning: prompts, with all that a reward function needs to judge an answer."""

from kat_data.snapshots.formats.chats import tools_of, with_objects
from kat_data.snapshots.formats.loss import Fitted, Loss, left_out
from kat_data.snapshots.record import Record

LABELS = ("id", "query", "category", "domain", "source", "licence", "lineage")
VERIFIER = ("reference", "reference_origin", "options")
NUMBERS = ("difficulty", "pass_rate")


def rl(record: Record) -> Fitted:
    """TRL's prompt-only rows; GRPO hands every further column to the reward functions.

    `verifier` is the kind; `options` are JSON text, as they differ from kind to kind.
    """
    verifier = record["verifier"]
    if verifier is None:
        return left_out(Loss.NO_VERIFIER)
    row = {
        "prompt": [with_objects(message) for message in record["prompt"]],
        **{name: record[name] for name in (*LABELS, *NUMBERS)},
        "verifier": verifier["kind"],
        **{name: verifier[name] for name in VERIFIER},
        "tools": tools_of(record),
    }
    return Fitted(rows=(row,))
