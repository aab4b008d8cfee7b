"""Difficulty re-scored between two revisions of a policy: the same queries, asked in the same way."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from sqlalchemy import Connection

from kat_data.domain.pass_rate import measured_difficulty
from kat_data.domain.proportion import wilson
from kat_data.domain.rank import Correlation, spearman
from kat_data.errors import UserError
from kat_data.registry import pass_rates
from kat_data.registry.pass_rates import WAY, Row

_SAME = tuple(name for name in WAY if name != "revision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """One query's difficulty before and after, from 1 (always right) to 10 (never).

    `clear` where the two rates' Wilson intervals do not meet.
    """

    query: str
    category: str
    before: float
    after: float
    rate_before: float
    rate_after: float
    clear: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two revisions over the queries that both measured in one way; the most changed queries first.

    `levels` counts queries by measured difficulty, rounded, before and after.
    """

    policy: str
    mode: str
    old: str
    new: str
    queries: int
    mean_before: float
    mean_after: float
    easier: int
    harder: int
    correlation: Correlation
    levels: dict[int, tuple[int, int]]
    rescored: tuple[Rescored, ...]


def compare_revisions(connection: Connection, old: str, new: str, policy: str | None = None) -> list[Comparison]:
    """Return a comparison for each way in which both revisions measured the same queries.

    Raises `UserError` where there is none.
    """
    by_way: dict[tuple[object, ...], dict[str, dict[str, Row]]] = defaultdict(lambda: {old: {}, new: {}})
    for row in pass_rates.measured(connection, [old, new], policy):
        if row["rate"] is not None:
            by_way[tuple(row[name] for name in _SAME)][row["revision"]][row["query"]] = row
    found = [
        _comparison(old, new, [(measured[old][query], measured[new][query]) for query in shared])
        for measured in by_way.values()
        if (shared := sorted(measured[old].keys() & measured[new].keys()))
    ]
    if not found:
        raise UserError(
            f"revisions {old} and {new} have measured no query in the same way: `kat queries pass-rates` lists them"
        )
    return found


def _comparison(old: str, new: str, pairs: Sequence[tuple[Row, Row]]) -> Comparison:
    rescored = [_rescored(before, after) for before, after in pairs]
    levels: dict[int, list[int]] = {level: [0, 0] for level in range(1, 11)}
    for each in rescored:
        levels[int(each.before + 0.5)][0] += 1
        levels[int(each.after + 0.5)][1] += 1
    return Comparison(
        policy=pairs[0][0]["policy"],
        mode=pairs[0][0]["mode"],
        old=old,
        new=new,
        queries=len(pairs),
        mean_before=mean(each.rate_before for each in rescored),
        mean_after=mean(each.rate_after for each in rescored),
        easier=sum(each.clear and each.after < each.before for each in rescored),
        harder=sum(each.clear and each.after > each.before for each in rescored),
        correlation=spearman([each.before for each in rescored], [each.after for each in rescored]),
        levels={level: (before, after) for level, (before, after) in levels.items()},
        rescored=tuple(sorted(rescored, key=lambda each: (-abs(each.after - each.before), each.query))),
    )


def _rescored(before: Row, after: Row) -> Rescored:
    low, high = _interval(before)
    later_low, later_high = _interval(after)
    return Rescored(
        query=before["query"],
        category=before["category"],
        before=measured_difficulty(before["rate"]),
        after=measured_difficulty(after["rate"]),
        rate_before=before["rate"],
        rate_after=after["rate"],
        clear=later_low > high or later_high < low,
    )


def _interval(row: Row) -> tuple[float, float]:
    return wilson(row["correct"], row["correct"] + row["incorrect"])
