"""Preference pairs: what a sample holds is chosen, another answer to the same turn is rejected."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from kat_data.domain.query import Role
from kat_data.domain.rival import Rival
from kat_data.domain.sample import Turn
from kat_data.domain.template import render, render_completion
from kat_data.domain.tool_call import call_id
from kat_data.errors import TemplateError
from kat_data.snapshots.formats.chats import Message, tools_of, with_objects
from kat_data.snapshots.formats.loss import Fitted, Loss, left_out
from kat_data.snapshots.record import Record

FindRivals = Callable[[Sequence[str]], Mapping[str, Sequence[Rival]]]
"""Return the rivals of rows by their ids; a row that nobody knows is missing."""

_BATCH = 500


def pairs(records: Iterable[Record], find: FindRivals) -> Iterator[Fitted]:
    """Yield TRL's conversational preference rows: a pair for every rival of every turn of a record."""
    remaining = iter(records)
    while batch := list(islice(remaining, _BATCH)):
        known = find([record["id"] for record in batch])
        for record in batch:
            yield _pairs(record, known[record["id"]]) if record["id"] in known else left_out(Loss.UNKNOWN)


def _pairs(record: Record, rivals: Sequence[Rival]) -> Fitted:
    make = _pair_of_turn
    if "completion" in record:  # stage 1 teaches the last turn alone
        last = sum(message["role"] == Role.ASSISTANT for message in record["prompt"])
        make, rivals = _pair, [rival for rival in rivals if rival.turn == last]
    if not rivals:
        return left_out(Loss.NO_RIVAL)
    found = [make(record, rival) for rival in rivals]
    rows = tuple(one for one in found if not isinstance(one, Loss))
    lost = [one for one in found if isinstance(one, Loss)]
    return Fitted(rows=rows, lost=(*lost, *((Loss.LABELS,) if rows else (Loss.NO_RIVAL,))))


def _pair_of_turn(record: Record, rival: Rival) -> Record | Loss:
    """Stage 2: the rival in place of the turn that it lost, judge included."""
    places = [place for place, message in enumerate(record["messages"]) if message["role"] == Role.ASSISTANT]
    turn, place = record["turns"][rival.turn], places[rival.turn]
    reason = turn["judge_analysis"] if turn["mode"] == rival.mode else rival.mode_reason
    if not reason:
        return Loss.NO_JUDGE_ANALYSIS
    prompt, chosen = record["messages"][:place], record["messages"][place]
    return _row(record, prompt, chosen, rival, reason)


def _pair(record: Record, rival: Rival) -> Record | Loss:
    """Stage 1: the rival in place of the completion, which alone is learned."""
    if rival.mode != record["mode"]:
        return Loss.OTHER_TRIGGER
    [chosen] = record["completion"]
    return _row(record, record["prompt"], chosen, rival, "")


def _row(
    record: Record, prompt: Sequence[Message], chosen: Message, rival: Rival, judge_analysis: str
) -> Record | Loss:
    try:
        rejected = _message(rival, judge_analysis)
    except TemplateError:
        return Loss.UNFIT_RIVAL
    return {
        "id": record["id"],
        "prompt": [with_objects(message) for message in prompt],
        "chosen": [with_objects(chosen)],
        "rejected": [rejected],
        "tools": tools_of(record),
        "rejected_mode": rival.mode.value,
        "rejected_model": rival.model,
        "reason": rival.fault.value,
        "detail": rival.detail,
    }


def _message(rival: Rival, judge_analysis: str) -> Message:
    turn = Turn(user="", judge_analysis=judge_analysis, mode=rival.mode, thinking=rival.thinking, answer=rival.answer)
    message: Message = {"role": "assistant", "content": render(turn) if judge_analysis else render_completion(turn)}
    if rival.tool_calls:
        message["tool_calls"] = [
            {
                "id": call_id(rival.turn, number),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for number, call in enumerate(rival.tool_calls)
        ]
    return message
