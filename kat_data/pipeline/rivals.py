"""Rivals of samples: answers to the same turns that were judged incorrect, or scored lower than the accepted one."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from kat_data.domain.codec import from_python
from kat_data.domain.mode import Mode
from kat_data.domain.rival import Fault, Rival
from kat_data.domain.score import Score, overall
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome
from kat_data.pipeline.recipe import parse_recipe
from kat_data.registry.rivals import candidates_of, recipes_of
from kat_data.stages.prefer import Prefer

_Row = dict[str, Any]


class Rivals:
    """Finds the rivals of samples in the registry, in every run that made them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._weights: dict[int, Mapping[str, float]] = {}

    def find(self, ids: Sequence[str]) -> dict[str, list[Rival]]:
        """Return the rivals of samples by their content hashes, hex; a sample that is not there is missing."""
        rows = candidates_of(self._connection, ids)
        self._learn_weights({row["run"] for row in rows})
        found: dict[str, list[Rival]] = {row["id"]: [] for row in rows}
        for (ident, run, turn), group in groupby(rows, key=lambda row: (row["id"], row["run"], row["turn"])):
            if turn is not None:
                found[ident] += self._of_turn(list(group), self._weights[run])
        return {ident: _distinct(rivals) for ident, rivals in found.items()}

    def _learn_weights(self, runs: set[int]) -> None:
        for run, plain in recipes_of(self._connection, sorted(runs - self._weights.keys())).items():
            stages = parse_recipe(plain, f"run {run}").stages
            self._weights[run] = next((stage.weights for stage in stages if isinstance(stage, Prefer)), {})

    def _of_turn(self, rows: list[_Row], weights: Mapping[str, float]) -> list[Rival]:
        totals = {row["position"]: _total(row, weights) for row in rows}
        held = next((totals[row["position"]] for row in rows if _is_held(row)), None)
        rivals = (_rival(row, totals[row["position"]], held) for row in rows if not _is_held(row))
        return [rival for rival in rivals if rival is not None]


def _is_held(row: _Row) -> bool:
    """Whether the candidate is what the sample holds."""
    names = ("mode", "thinking", "answer", "tool_calls")
    return all(row["held"].get(name) == row[name] for name in names)


def _total(row: _Row, weights: Mapping[str, float]) -> float | None:
    scores = [Score(**{name: one[name] for name in ("candidate", "rewarder", "dimension", "value")}, reason="", call="")
              for one in row["scores"] or ()]  # fmt: skip
    return overall(scores, weights).get(row["position"])


def _rival(row: _Row, score: float | None, held: float | None) -> Rival | None:
    verdict = row["verdict"]
    if verdict and verdict["outcome"] == Outcome.INCORRECT:
        fault, detail = Fault.INCORRECT, f"{verdict['verifier']}: {verdict['status']}"
    elif score is not None and held is not None and score < held:
        fault, detail = Fault.SCORED_LOWER, f"{score:.4f} against {held:.4f}"
    else:
        return None
    return Rival(
        turn=row["turn"],
        mode=Mode(row["mode"]),
        thinking=row["thinking"],
        answer=row["answer"],
        tool_calls=tuple(from_python(ToolCall, call) for call in row["tool_calls"]),
        model=row["model"],
        fault=fault,
        detail=detail,
        mode_reason=row["mode_reason"],
    )


def _distinct(rivals: Iterable[Rival]) -> list[Rival]:
    """Leave out what several runs, or several draws, said in the same words."""
    said: dict[str, Rival] = {}
    for rival in rivals:
        said.setdefault(repr((rival.turn, rival.mode, rival.thinking, rival.answer, rival.tool_calls)), rival)
    return list(said.values())
