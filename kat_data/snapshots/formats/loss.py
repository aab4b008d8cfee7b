"""What a format cannot hold: counted for every row, and told."""

from dataclasses import dataclass
from enum import StrEnum

from kat_data.snapshots.record import Record


class Loss(StrEnum):
    """Why a row is left out of an export, or what of it is missing there."""

    SEVERAL_TURNS = "several_turns"
    CALLS = "calls"
    UNANSWERED_CALLS = "unanswered_calls"
    REFUSED_TOOL = "refused_tool"
    RESERVED_MARK = "reserved_mark"
    NO_VERIFIER = "no_verifier"
    UNKNOWN = "unknown"
    NO_RIVAL = "no_rival"
    NO_JUDGE_ANALYSIS = "no_judge_analysis"
    OTHER_TRIGGER = "other_trigger"
    UNFIT_RIVAL = "unfit_rival"
    LABELS = "labels"
    TOOLS = "tools"
    CALL_IDS = "call_ids"
    LEARNED_HISTORY = "learned_history"


SENTENCES: dict[Loss, str] = {
    Loss.SEVERAL_TURNS: "{} rows are left out: they have several turns, and the format has one",
    Loss.CALLS: "{} rows are left out: they call tools, and the format has no place for calls",
    Loss.UNANSWERED_CALLS: "{} rows are left out: calls in them have no results, and OpenAI asks for those",
    Loss.REFUSED_TOOL: "{} rows are left out: OpenAI refuses their tools, or they call tools that are not theirs",
    Loss.RESERVED_MARK: "{} rows are left out: their text holds a mark that ShareGPT sets about calls and results",
    Loss.NO_VERIFIER: "{} rows are left out: they have no verifier, so that nothing could reward an answer",
    Loss.UNKNOWN: "{} rows are left out: this registry does not know them",
    Loss.NO_RIVAL: "{} rows are left out: no other answer to the same turn was judged worse",
    Loss.NO_JUDGE_ANALYSIS: "{} answers are left out: of another mode than the row's, for which nobody gave a reason",
    Loss.OTHER_TRIGGER: "{} answers are left out: of another mode than the one that the prompt asks for",
    Loss.UNFIT_RIVAL: "{} answers are left out: the template cannot hold them",
    Loss.LABELS: "{} rows lose their labels (category, source, licence and the like): jsonl and parquet have them",
    Loss.TOOLS: "{} rows lose the tools that they may call",
    Loss.CALL_IDS: "{} rows lose the ids of calls: results stand in the order of the calls",
    Loss.LEARNED_HISTORY: "{} rows lose the mark that their earlier answers are no example to learn from",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a format makes of one record: no row, one or several, and all that was lost on the way."""

    rows: tuple[Record, ...] = ()
    lost: tuple[Loss, ...] = ()


def left_out(*why: Loss) -> Fitted:
    """Return what is made of a record that the format cannot hold."""
    return Fitted(lost=why)
