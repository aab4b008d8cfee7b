"""Filling a mixture: whenever no item of a run can be worked on, let on what its strata still need.

Queries are held twice. At the entry they wait by category, so that nothing is paid to tag and vote on a pool that is
not needed; at the stage `select` they wait by stratum, and no more of them go on than samples are missing. Rounds look
at the whole run while nothing is under way, so that what they choose hangs on the seed and the replies alone.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from sqlalchemy import Connection

from kat_data.domain.states import RunState
from kat_data.domain.stratum import parse_stratum
from kat_data.pipeline.plan import Plan
from kat_data.registry import held
from kat_data.registry.session import Registry
from kat_data.stages.select import Select


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one look came to: items let on, and items given up as the mixture needs no more of them."""

    let_on: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """How far one stratum of a mixture is: `state` says `filled`, or why it is not."""

    stratum: str
    target: int
    samples: int
    held: int
    state: str


def entry_stratum(category: str) -> str:
    """Return what the items of a category are held as at a run's entry."""
    return f"category={category}"


def next_round(registry: Registry, run: int, plan: Plan) -> Round:
    """Let on the held items that are needed now; gives up all the rest once none is."""
    select = plan.select
    if select is None:
        return Round()
    with registry.engine.begin() as connection:
        held.lock(connection, run)
        if ready := held.workable(connection, run):
            return Round(let_on=ready)
        waiting = held.held(connection, run)
        if not waiting:
            return Round()
        samples = held.brought(connection, run)
        missing = _missing(select, samples)
        let_on = _from_strata(connection, run, plan, select, missing)
        let_on = let_on or _from_entry(connection, run, plan, missing, samples, waiting)
        return Round(let_on=let_on) if let_on else Round(given_up=held.give_up(connection, run))


def select_of(recipe: Mapping[str, Any]) -> Select | None:
    """Return the stage that fills the mixture of a recipe given as plain values, none where it has no mixture."""
    options = next((stage[Select.name] for stage in recipe.get("stages", ()) if Select.name in stage), None)
    return None if options is None else Select.model_validate(options)


def fillings(connection: Connection, run: int, select: Select, state: RunState, reason: str | None) -> list[Filling]:
    """Return how far each stratum of a run is, in the mixture's order."""
    brought, waiting = held.brought(connection, run), held.held(connection, run)
    found = []
    for stratum, target in select.quotas().items():
        samples = brought.get(stratum, 0)
        found.append(
            Filling(
                stratum=stratum,
                target=target,
                samples=samples,
                held=waiting.get((select.name, stratum), 0),
                state=_state(target - samples, state, reason),
            )
        )
    return found


def _state(missing: int, state: RunState, reason: str | None) -> str:
    if missing <= 0:
        return "filled"
    if state is RunState.FINISHED:
        return f"pool ended, {missing:,} short"
    return reason or state.value


def _missing(select: Select, samples: Mapping[str, int]) -> dict[str, int]:
    """How many samples each stratum that is not filled yet still lacks."""
    lacks = {name: quota - samples.get(name, 0) for name, quota in select.quotas().items()}
    return {name: lack for name, lack in lacks.items() if lack > 0}


def _from_strata(connection: Connection, run: int, plan: Plan, select: Select, missing: Mapping[str, int]) -> int:
    to = plan.behind(select.name)
    return sum(
        held.let_on(connection, run, stage=select.name, stratum=stratum, responses=lack, to=to)
        for stratum, lack in missing.items()
    )


def _from_entry(
    connection: Connection,
    run: int,
    plan: Plan,
    missing: Mapping[str, int],
    samples: Mapping[str, int],
    waiting: Mapping[tuple[str, str], int],
) -> int:
    entered = held.entered(connection, run, plan.first)
    wanted: dict[str, int] = defaultdict(int)
    for stratum, lack in missing.items():
        pools = [c for c in parse_stratum(stratum).categories if waiting.get((plan.first, entry_stratum(c)))]
        come = sum(entered.get(c, 0) for c in pools)
        for category in pools:
            wanted[category] += ceil(_needed(lack, come, samples.get(stratum, 0)) / len(pools))
    return sum(
        held.let_on(
            connection, run, stage=plan.first, stratum=entry_stratum(category), responses=queries, to=plan.first
        )
        for category, queries in wanted.items()
    )


def _needed(lack: int, come: int, samples: int) -> int:
    """How many queries more are to enter for `lack` samples, as `come` queries brought `samples` of the stratum.

    Never more than have come already: a rate that few samples tell is not to be trusted with a whole pool.
    """
    expected = ceil(lack * come / samples) if samples else come
    return max(lack, min(expected, come))
