"""Where runs stand, read from tallies and small indexes: the cost does not grow with items or calls."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.states import ItemState, RunState
from kat_data.errors import NotFoundError
from kat_data.registry.claims import ALIVE_WORKERS

# Open runs first: of others there are more every day, and nobody watches the oldest.
NEWEST = """
    SELECT id FROM runs ORDER BY state <> 'open', id DESC LIMIT :limit
"""

RUNS = """
    SELECT id, name, state, reason, queries, lost_usd, lost_tokens, created_at, finished_at, now() AS at,
        (recipe->'budget'->>'usd')::double precision AS cap_usd, (recipe->'budget'->>'tokens')::bigint AS cap_tokens,
        recipe->'stages' AS stages
    FROM runs WHERE id = ANY(:runs) ORDER BY id
"""

TALLIES = """
    SELECT run_id, kind, name, outcome, sum(count)::bigint AS number, sum(tokens)::bigint AS tokens, sum(usd) AS usd,
        sum(seconds) AS seconds
    FROM tallies WHERE run_id = ANY(:runs)
    GROUP BY run_id, kind, name, outcome HAVING sum(count) <> 0 ORDER BY name, outcome
"""

# `+ 0` keeps the planner at the small indexes of what is leased and in flight: by the run alone it could read all that
# the run ever had.
LEASES = f"""
    SELECT run_id, count(*) FILTER (WHERE available_at > now()) AS live,
        count(*) FILTER (WHERE available_at <= now()) AS expired,
        count(DISTINCT worker_id) FILTER (WHERE worker_id IN ({ALIVE_WORKERS})) AS workers
    FROM work_items WHERE run_id + 0 = ANY(:runs) AND worker_id IS NOT NULL AND state = 'ready' GROUP BY run_id
"""

IN_FLIGHT = """
    SELECT run_id, count(*) AS calls, sum(usd) AS usd, sum(tokens)::bigint AS tokens
    FROM calls WHERE run_id + 0 = ANY(:runs) AND state = 'reserved' GROUP BY run_id
"""

WORKERS = f"SELECT host, count(*) AS workers FROM workers WHERE id IN ({ALIVE_WORKERS}) GROUP BY host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many of one kind there are: items of a stage, verdicts of a verifier, calls of a model; with their cost."""

    name: str
    outcome: str
    count: int
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOverview:
    """One run at the moment `at`, by the database's clock; money and tokens cover what was lost without a reply.

    `reserved_usd` is what the calls in flight may cost at most; the caps are none where the recipe has none.
    `leases` are live; an expired one is of a worker that hangs or died. `workers` have an item in hand.
    """

    run: int
    name: str
    state: RunState
    reason: str | None
    stages: tuple[str, ...]
    queries: int
    created_at: datetime
    finished_at: datetime | None
    at: datetime
    cap_usd: float | None
    cap_tokens: int | None
    lost_usd: float
    lost_tokens: int
    tallies: dict[str, tuple[Tally, ...]]
    leases: int = 0
    expired: int = 0
    workers: int = 0
    in_flight: int = 0
    reserved_usd: float = 0.0
    reserved_tokens: int = 0

    def of(self, kind: str) -> tuple[Tally, ...]:
        """Return the tallies of one kind: item, attempt, verdict, sample, call, recorded_call."""
        return self.tallies.get(kind, ())

    def items(self, state: ItemState) -> int:
        """Return how many items stand in `state`, at whatever stage."""
        return sum(tally.count for tally in self.of("item") if tally.outcome == state)

    @property
    def ended(self) -> int:
        """How many items have ended."""
        return sum(self.items(state) for state in (ItemState.ACCEPTED, ItemState.DROPPED, ItemState.DEAD))

    @property
    def calls(self) -> tuple[Tally, ...]:
        """Calls to endpoints and to recordings."""
        return (*self.of("call"), *self.of("recorded_call"))

    @property
    def usd(self) -> float:
        """What counts on the budget so far."""
        return self.lost_usd + sum(tally.usd for tally in self.calls)

    @property
    def tokens(self) -> int:
        """The tokens that count on the budget so far."""
        return self.lost_tokens + sum(tally.tokens for tally in self.calls)


def overview(connection: Connection, runs: Sequence[int]) -> list[RunOverview]:
    """Return where these runs stand, by id; those that do not exist are left out."""
    tallies = _tallies(connection, runs)
    asked = {"runs": list(runs)}
    leases = {row.run_id: row._asdict() for row in connection.execute(text(LEASES), asked)}
    in_flight = {row.run_id: row._asdict() for row in connection.execute(text(IN_FLIGHT), asked)}
    return [
        _overview(row, tallies[row.id], leases.get(row.id, {}), in_flight.get(row.id, {}))
        for row in connection.execute(text(RUNS), asked)
    ]


def run_overview(connection: Connection, run: int) -> RunOverview:
    """Return where one run stands; raises `NotFoundError`."""
    found = overview(connection, [run])
    if not found:
        raise NotFoundError(f"no run {run}: `kat runs list` shows them")
    return found[0]


def newest_runs(connection: Connection, limit: int) -> list[int]:
    """Return the open runs, then the newest others, at most `limit` together."""
    return list(connection.execute(text(NEWEST), {"limit": limit}).scalars())


def live_workers(connection: Connection) -> dict[str, int]:
    """Return how many workers are alive on each host."""
    return {row.host: row.workers for row in connection.execute(text(WORKERS))}


def _tallies(connection: Connection, runs: Sequence[int]) -> dict[int, dict[str, tuple[Tally, ...]]]:
    found: dict[int, dict[str, tuple[Tally, ...]]] = defaultdict(lambda: defaultdict(tuple))
    for row in connection.execute(text(TALLIES), {"runs": list(runs)}):
        tally = Tally(
            name=row.name,
            outcome=row.outcome,
            count=row.number,
            tokens=row.tokens,
            usd=row.usd,
            seconds=row.seconds,
        )
        found[row.run_id][row.kind] += (tally,)
    return found


def _overview(
    row: Any, tallies: dict[str, tuple[Tally, ...]], lease: Mapping[str, Any], flight: Mapping[str, Any]
) -> RunOverview:
    return RunOverview(
        run=row.id,
        name=row.name,
        state=RunState(row.state),
        reason=row.reason,
        stages=tuple(stage if isinstance(stage, str) else next(iter(stage)) for stage in row.stages or ()),
        queries=row.queries,
        created_at=row.created_at,
        finished_at=row.finished_at,
        at=row.at,
        cap_usd=row.cap_usd,
        cap_tokens=row.cap_tokens,
        lost_usd=row.lost_usd,
        lost_tokens=row.lost_tokens,
        tallies=dict(tallies),
        leases=lease.get("live", 0),
        expired=lease.get("expired", 0),
        workers=lease.get("workers", 0),
        in_flight=flight.get("calls", 0),
        reserved_usd=flight.get("usd", 0.0),
        reserved_tokens=flight.get("tokens", 0),
    )
