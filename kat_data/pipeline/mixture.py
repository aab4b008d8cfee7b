"""Filling a mixture: whenever no item of a run can be worked on, let on what its strata still need.

Queries are held twice. At the entry they wait by category, so that nothing is paid to tag and vote on a pool that is
not needed; at the stage `select` they wait in their pools, and no more of them go on than samples are missing. Rounds
look at the whole run while nothing is under way, so that what they choose hangs on the seed and the replies alone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from sqlalchemy import Connection

from kat_data.domain.mixture import STAGE, Mixture
from kat_data.domain.states import RunState
from kat_data.domain.stratum import parse_stratum
from kat_data.pipeline.plan import Plan
from kat_data.registry import held
from kat_data.registry.session import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one look came to: items let on, and items given up as the mixture needs no more of them."""

    let_on: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """How far one stratum of a mixture is: `state` says `filled`, or why it is not.

    `held` counts the queries in its pool, which other strata may draw from too.
    """

    stratum: str
    target: int
    samples: int
    held: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a run lacks of its mixture: how many `samples` each stratum has, and how many are `missing`, if any."""

    mixture: Mixture
    samples: Mapping[str, int]
    missing: Mapping[str, int]

    def wanted(self, strata: Sequence[str], come: int) -> int:
        """Return how many queries the most lacking of the strata needs, as `come` have brought what is there."""
        lacking = {name: self.samples.get(name, 0) for name in strata if name in self.missing}
        needed = (
            _needed(self.missing[name], come, samples)
            for name, samples in lacking.items()
            if not self.mixture.gives_up(come, samples)
        )
        return max(needed, default=0)


def entry_pool(category: str) -> str:
    """Return what the items of a category are held as at a run's entry."""
    return f"category={category}"


def next_round(registry: Registry, run: int, plan: Plan) -> Round:
    """Let on the held items that are needed now; gives up all the rest once none is."""
    if plan.select is None:
        return Round()
    with registry.engine.begin() as connection:
        held.lock(connection, run)
        if ready := held.workable(connection, run):
            return Round(let_on=ready)
        waiting = held.held(connection, run)
        if not waiting:
            return Round()
        lack = _lack(plan.select.mixture, held.brought(connection, run))
        let_on = _from_pools(connection, run, plan, lack) or _from_entry(connection, run, plan, lack, waiting)
        return Round(let_on=let_on) if let_on else Round(given_up=held.give_up(connection, run))


def fillings(connection: Connection, run: int, mixture: Mixture, state: RunState, reason: str | None) -> list[Filling]:
    """Return how far each stratum of a run is, in the mixture's order."""
    brought, waiting = held.brought(connection, run), held.held(connection, run)
    unasked = held.unasked(connection, run, STAGE) if mixture.patience else frozenset()
    found = []
    for name, target in mixture.targets.items():
        samples, stratum = brought.get(name, 0), parse_stratum(name)
        ended = not any(entry_pool(category) in unasked for category in stratum.categories)
        found.append(
            Filling(
                stratum=name,
                target=target,
                samples=samples,
                held=waiting.get((STAGE, str(stratum.pool)), 0),
                state=_state(target - samples, state, reason, ended=ended),
            )
        )
    return found


def _state(missing: int, state: RunState, reason: str | None, *, ended: bool) -> str:
    if missing <= 0:
        return "filled"
    if state is RunState.FINISHED:
        return f"{'pool ended' if ended else 'too rare, given up'}, {missing:,} short"
    return reason or state.value


def _lack(mixture: Mixture, samples: Mapping[str, int]) -> Lack:
    lacks = {name: target - samples.get(name, 0) for name, target in mixture.targets.items()}
    return Lack(mixture=mixture, samples=samples, missing={name: lack for name, lack in lacks.items() if lack > 0})


def _from_pools(connection: Connection, run: int, plan: Plan, lack: Lack) -> int:
    """Let on from a stratum's own pool exactly what it lacks; from one that several share, what its rates ask for."""
    behind = plan.behind(STAGE)
    come = held.left(connection, run, behind)
    let_on = 0
    for pool, strata in lack.mixture.pools.items():
        alone = strata == (str(pool),)
        responses = lack.missing.get(str(pool), 0) if alone else lack.wanted(strata, come.get(str(pool), 0))
        if responses:
            let_on += held.let_on(connection, run, stage=STAGE, pool=str(pool), responses=responses, to=behind[0])
    return let_on


def _from_entry(
    connection: Connection, run: int, plan: Plan, lack: Lack, waiting: Mapping[tuple[str, str], int]
) -> int:
    entered = held.entered(connection, run, plan.first)
    wanted: dict[str, int] = defaultdict(int)
    for pool, strata in lack.mixture.pools.items():
        categories = [c for c in pool.categories if waiting.get((plan.first, entry_pool(c)))]
        queries = lack.wanted(strata, sum(entered.get(c, 0) for c in categories))
        for category in categories:
            wanted[category] += ceil(queries / len(categories))
    return sum(
        held.let_on(connection, run, stage=plan.first, pool=entry_pool(category), responses=queries, to=plan.first)
        for category, queries in wanted.items()
        if queries
    )


def _needed(lack: int, come: int, samples: int) -> int:
    """How many queries more are to come for `lack` samples, as `come` queries brought `samples` of the stratum.

    Never more than have come already: a rate that few samples tell is not to be trusted with a whole pool.
    """
    expected = ceil(lack * come / samples) if samples else come
    return max(lack, min(expected, come))
