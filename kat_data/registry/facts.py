"""What a stage adds to a draft, as rows of the registry; `drafts` makes a draft of them again."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from kat_data.domain.draft import Draft
from kat_data.domain.measurement import ModeMeasurement
from kat_data.domain.mode import Mode
from kat_data.domain.pair import Pair, pair_of
from kat_data.domain.sample import Sample
from kat_data.hashing import content_hash

Row = dict[str, Any]
Item = tuple[int, int]  # run id, query id
Render = Callable[[Sample | Pair], tuple[str, str] | None]
"""Gives the stage of training and the text that a sample is rendered as for it, where it can be."""


def new_facts(item: Item, before: Draft, after: Draft) -> dict[str, list[Row]]:
    """Return the rows, by table, that `after` holds beyond `before`; both are of the same turn."""
    key = {"run_id": item[0], "query_id": item[1]}
    turn_key = {**key, "turn": len(after.turns)}
    rows: dict[str, list[Row]] = defaultdict(list)
    _tag_facts(key, before, after, rows)
    _label_facts(key, before, after, rows)
    _pass_rate_facts(key, before, after, rows)
    _intent_facts(key, before, after, rows)
    _mode_facts(turn_key, before, after, rows)
    _candidate_facts(turn_key, before, after, rows)
    _choice_facts(turn_key, before, after, rows)
    return {table: new for table, new in rows.items() if new}


def sample_rows(
    item: Item, accepted: Draft, *, stratum: str | None = None, render: Render = lambda _: None
) -> tuple[Row, ...]:
    """Return the rows of the samples that an accepted draft brings: one for each response, or its pair.

    All of them count for the `stratum` of the run's mixture, where there is one.
    """
    if accepted.paired:
        found: list[tuple[Sample | Pair, Mode | None, bytes]] = [(pair_of(accepted.query), None, accepted.lineage)]
    else:
        samples = [(finished.sample(), finished.lineage) for finished in accepted.finished()]
        found = [(sample, sample.mode, lineage) for sample, lineage in samples]
    return tuple(
        {
            "hash": _bytea(content_hash(sample).hex()),
            "run_id": item[0],
            "query_id": item[1],
            "number": number,
            "mode": mode,
            "stratum": stratum,
            "sample": sample,
            **dict(zip(("rendered_as", "rendered"), render(sample) or (None, None), strict=True)),
            "lineage": _bytea(lineage.hex()),
        }
        for number, (sample, mode, lineage) in enumerate(found)
    )


def _tag_facts(key: Row, before: Draft, after: Draft, rows: dict[str, list[Row]]) -> None:
    rows["tags"] += _appended(key, before.tags, after.tags)
    if after.summary is not None and before.summary is None:
        rows["tag_summaries"].append({**key, **_record(after.summary)})


def _label_facts(key: Row, before: Draft, after: Draft, rows: dict[str, list[Row]]) -> None:
    label = after.soft_label
    if label is None or before.soft_label is not None:
        return
    rows["soft_labels"].append({**key, **_record(label, but="answers")})
    rows["soft_label_answers"] += _appended(key, (), label.answers)


def _pass_rate_facts(key: Row, before: Draft, after: Draft, rows: dict[str, list[Row]]) -> None:
    rate = after.pass_rate
    if rate is None or before.pass_rate is not None:
        return
    counts = {name: getattr(rate, name) for name in ("k", "correct", "incorrect", "undecided", "tokens")}
    rows["pass_rates"].append({**key, **_record(rate, but="rollouts"), **counts})
    rows["rollouts"] += _appended(key, (), rate.rollouts)


def _intent_facts(key: Row, before: Draft, after: Draft, rows: dict[str, list[Row]]) -> None:
    intent = after.intent
    if intent is not None and before.intent is None:
        rows["intents"].append({**key, **_record(intent), "call": intent.call and _bytea(intent.call)})


def _mode_facts(turn_key: Row, before: Draft, after: Draft, rows: dict[str, list[Row]]) -> None:
    rows["votes"] += _appended(turn_key, before.votes, after.votes)
    if after.measurement is not None and before.measurement is None:
        rows["mode_measurements"].append({**turn_key, **_measurement_row(after.measurement)})


def _measurement_row(found: ModeMeasurement) -> Row:
    counts = {
        f"{mode}_{name}": value
        for mode, trials in (("off", found.off), ("on", found.on))
        for name, value in _record(trials).items()
    }
    return {"chosen": found.chosen, "chosen_by": found.chosen_by, "preferred": found.preferred, **counts}


def _candidate_facts(turn_key: Row, before: Draft, after: Draft, rows: dict[str, list[Row]]) -> None:
    known = {candidate.position: candidate for candidate in before.candidates}
    for candidate in after.candidates:
        key = {**turn_key, "position": candidate.position}
        old = known.get(candidate.position)
        if old is None:
            row = {**key, **_record(candidate), "calls": [_bytea(call) for call in candidate.calls]}
            del row["verdicts"]
            rows["candidates"].append(row)
        judged = len(old.verdicts) if old else 0
        for number, verdict in enumerate(candidate.verdicts[judged:], judged):
            rows["verdicts"].append({**key, "number": number, **_record(verdict), "reward": verdict.reward})


def _choice_facts(turn_key: Row, before: Draft, after: Draft, rows: dict[str, list[Row]]) -> None:
    if _turn_state(after) != _turn_state(before):
        rows["turns"].append({**turn_key, **_turn_state(after)})
    rows["scores"] += _appended(turn_key, before.scores, after.scores)
    kept = {one.position for one in after.further}
    for one in after.further:
        if one not in before.further:
            rows["further"].append({**turn_key, **_record(one), "kept": True})
    for one in before.further:
        if one.position not in kept:
            rows["further"].append({**turn_key, **_record(one), "kept": False})


def _turn_state(draft: Draft) -> Row:
    choice = draft.choice
    return {
        "mode": choice.mode if choice else None,
        "origin": choice.origin if choice else None,
        "margin": choice.margin if choice else None,
        "accepted": draft.accepted,
        "judge_analysis": draft.judge_analysis,
        "results": draft.results,
    }


def _appended(key: Row, before: Sequence[Any], after: Sequence[Any]) -> list[Row]:
    """Return the rows of records that each came of one call, for those behind the ones that are stored."""
    return [
        {**key, "position": position, **_record(record), "call": _bytea(record.call)}
        for position, record in enumerate(after[len(before) :], len(before))
    ]


def _record(record: Any, *, but: str = "") -> Row:
    return {name: getattr(record, name) for name in record.__dataclass_fields__ if name != but}


def _bytea(call: str) -> str:
    return "\\x" + call
