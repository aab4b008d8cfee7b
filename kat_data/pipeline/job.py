"""One worker's part in one run: claim items, take each through its stages, commit every step."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

import orjson
import psycopg

from kat_data.clock import Clock
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.held import Held
from kat_data.domain.states import ItemState
from kat_data.errors import CompilerMissing, KatError, LeaseLost, RecipeError, RunStopped, SandboxMissing
from kat_data.logs import bound, note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.casting import cast_for
from kat_data.pipeline.mixture import Round
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.rendering import renderer
from kat_data.pipeline.tracing import TracedModel
from kat_data.registry.facts import Row, new_facts, sample_rows
from kat_data.registry.session import is_lost
from kat_data.registry.worker import Attempt, Claim, Move, Step, Worker
from kat_data.snapshots.record import TrainingStage
from kat_data.stages.stage import Kind, Stage, Tools

_log = logging.getLogger(__name__)
_UNSTORABLE = (psycopg.DataError, psycopg.IntegrityError, orjson.JSONEncodeError)  # what commits of bad outputs raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one try of a stage brought: a draft, a drop or an error, with its attempt record."""

    attempt: Attempt
    result: Draft | Dropped | Held | Exception


LetOn = Callable[[], Awaitable[Round]]
"""Where no item of the run can be worked on: look at all that are held, and let some on."""


async def no_round() -> Round:
    """Let nothing on: the run holds nothing."""
    return Round()


class RunJob:
    """A run as an executor sees it: items to claim and to work on. Executors know nothing of stages.

    `counts` grows with every item that ends (`accepted`, `dropped`, `dead`) or goes to another worker (`lease_lost`),
    and with every try that failed (`retried`).
    What it accepts is rendered for the stage of training that it `feeds`.
    Once `stop` is set, items end after the stage that they are in. Items that come to a stage of another kind than
    `kinds` are left to the workers that serve it.
    """

    def __init__(
        self,
        *,
        run: int,
        worker: Worker,
        plan: Plan,
        tools: Tools,
        let_on: LetOn = no_round,
        kinds: Collection[Kind] = tuple(Kind),
        attempts: int,
        feeds: TrainingStage,
        clock: Clock,
        stop: asyncio.Event,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._run = run
        self._observer = observer
        self._let_on = let_on
        self._worker = worker
        self._plan = plan
        self._serves = plan.of_kinds(kinds)
        self._tools = tools
        self._attempts = attempts
        self._feeds = feeds
        self._clock = clock
        self._stop = stop
        self.counts: Counter[str] = Counter()

    async def claim(self, limit: int) -> list[Claim]:
        """Lease at most `limit` items that can be worked on now."""
        claims = await self._worker.claim(self._run, limit, self._serves)
        if not claims and not (await self.waiting())[0] and not await self._next_round():
            self._stop.set()  # every item has ended, or the run was cancelled
        return [replace(claim, draft=self._plan.prepare(claim.draft, self._tools.seed)) for claim in claims]

    async def _next_round(self) -> bool:
        """Whether items that were held can be worked on now, since no other is left."""
        made = await self._let_on()
        self.counts["dropped"] += made.given_up
        return made.let_on > 0

    async def waiting(self) -> tuple[bool, float | None]:
        """Return whether items are unfinished, and in how many seconds the next of ours can be claimed."""
        return await self._worker.waiting(self._run, self._serves)

    async def work(self, claim: Claim) -> None:
        """Take one item as far as it goes.

        Raises what ends more than this item's try: `RunStopped`, `RecipeError`, `SandboxMissing`, a lost database.
        """
        with bound(run=self._run, worker=self._worker.id, query=lambda: claim.draft.query.hash.hex()):
            try:
                current: Claim | None = claim
                while current is not None and not self._stop.is_set():
                    with bound(stage=current.stage):
                        current = await self._step(current)
            except LeaseLost:
                self.counts["lease_lost"] += 1
                note(_log, logging.WARNING, "lease.lost")

    async def _step(self, claim: Claim) -> Claim | None:
        stage = self._plan.at(claim.stage, claim.draft)
        if refused := self._plan.refuse(claim.draft) or (_nothing_accepted() if stage is None else None):
            await self._drop_untried(claim, refused)
            return None
        assert stage is not None
        done = await self._try(stage, claim)
        try:
            return await self._commit(claim, stage, done)
        except _UNSTORABLE as error:
            await self._fail(claim, replace(done.attempt, outcome="failed", error=_describe(error)), error)
            return None

    async def _commit(self, claim: Claim, stage: Stage, done: Done) -> Claim | None:
        match done.result:
            case Dropped() as dropped:
                await self._drop(claim, done.attempt, dropped)
            case Held() as held:
                await self._hold(claim, done.attempt, held)
            case Exception() as error:
                await self._fail(claim, done.attempt, error)
            case draft:
                return await self._advance(claim, stage, done.attempt, draft)
        return None

    async def _try(self, stage: Stage, claim: Claim) -> Done:
        trace: list[str] = []
        cast = cast_for(self._tools.models, claim.draft.query.category)
        models = {role: tuple(TracedModel(model, trace) for model in members) for role, members in cast.items()}
        started_at, start = self._clock.now(), self._clock.monotonic()
        result: Draft | Dropped | Held | Exception
        error = None
        try:
            result = await stage.run(claim.draft, replace(self._tools, models=models))
            outcome = {Dropped: "dropped", Held: "held"}.get(type(result), "done")
        except Exception as failure:  # a defect in one stage costs its item a try, never the run
            if _ends_more_than_a_try(failure):
                raise
            result, outcome, error = failure, "failed", _describe(failure)
        seconds = self._clock.monotonic() - start
        self._observer.staged(stage.name, outcome, seconds)
        note(_log, logging.DEBUG, "stage.tried", outcome=outcome, seconds=seconds, calls=len(trace))
        attempt = Attempt(
            stage=stage.name,
            started_at=started_at,
            seconds=seconds,
            outcome=outcome,
            calls=tuple(trace),
            error=error,
        )
        return Done(attempt=attempt, result=result)

    async def _advance(self, claim: Claim, stage: Stage, attempt: Attempt, draft: Draft) -> Claim | None:
        facts = new_facts((claim.run, claim.query), claim.draft, draft)
        if draft.paired:
            await self._accept(claim, attempt, facts, draft)
            return None
        following = self._plan.after(stage.name, draft)
        if following is not None:
            return await self._go_on(claim, attempt, facts, following.name, draft)
        if draft.accepted is not None and not draft.is_last_turn:
            return await self._go_on(claim, attempt, facts, self._plan.turn_start, draft.finish_turn())
        if draft.accepted is not None:
            await self._accept(claim, attempt, facts, draft)
        else:
            await self._drop(claim, attempt, _nothing_accepted(), facts)
        return None

    async def _go_on(
        self, claim: Claim, attempt: Attempt, facts: dict[str, list[Row]], stage: str, draft: Draft
    ) -> Claim | None:
        ours = stage in self._serves
        move = Move(stage=stage, turn=len(draft.turns), keep=ours)
        await self._worker.commit(Step(claim=claim, attempt=attempt, move=move, facts=facts))
        if not ours:
            return None
        return replace(claim, stage=stage, turn=move.turn, attempts=0, draft=draft)

    async def _accept(self, claim: Claim, attempt: Attempt, facts: dict[str, list[Row]], draft: Draft) -> None:
        # As it came out: whether modes change, and the last one, is known no earlier.
        render = renderer(draft, self._feeds)
        rows = sample_rows((claim.run, claim.query), draft, stratum=self._plan.stratum(draft), render=render)
        move = Move(stage=attempt.stage, turn=claim.turn, state=ItemState.ACCEPTED)
        await self._worker.commit(Step(claim=claim, attempt=attempt, move=move, facts=facts, samples=rows))
        self.counts["accepted"] += 1
        note(_log, logging.DEBUG, "item.accepted", samples=len(rows))

    async def _hold(self, claim: Claim, attempt: Attempt, held: Held) -> None:
        move = Move(
            stage=attempt.stage,
            turn=claim.turn,
            state=ItemState.HELD,
            pool=held.pool,
            responses=held.responses,
        )
        await self._worker.commit(Step(claim=claim, attempt=attempt, move=move))

    async def _drop(
        self, claim: Claim, attempt: Attempt, dropped: Dropped, facts: dict[str, list[Row]] | None = None
    ) -> None:
        move = Move(
            stage=attempt.stage,
            turn=claim.turn,
            state=ItemState.DROPPED,
            reason=dropped.reason.value,
            detail=dropped.detail or None,
        )
        found = dropped.draft or claim.draft
        facts = facts or new_facts((claim.run, claim.query), claim.draft, found)
        await self._worker.commit(Step(claim=claim, attempt=attempt, move=move, facts=facts))
        self.counts["dropped"] += 1
        note(_log, logging.DEBUG, "item.dropped", reason=dropped.reason.value)

    async def _fail(self, claim: Claim, attempt: Attempt, error: Exception) -> None:
        attempts = claim.attempts + 1
        dead = attempts >= self._attempts
        move = Move(
            stage=attempt.stage,
            turn=claim.turn,
            state=ItemState.DEAD if dead else ItemState.READY,
            attempts=attempts,
            delay=min(2.0**attempts, 60.0),
            reason=type(error).__name__,
            detail=_storable(str(error)),
        )
        await self._worker.commit(Step(claim=claim, attempt=attempt, move=move))
        self.counts["dead" if dead else "retried"] += 1
        level, event = (logging.ERROR, "item.dead") if dead else (logging.WARNING, "item.failed")
        # The text of a defect may quote a prompt or an answer; it stands with the attempt.
        reason = {"reason": str(error)} if isinstance(error, KatError) else {}
        note(_log, level, event, error=error, attempts=attempts, **reason)

    async def _drop_untried(self, claim: Claim, dropped: Dropped) -> None:
        attempt = Attempt(
            stage=claim.stage, started_at=self._clock.now(), seconds=0.0, outcome="dropped", calls=(), error=None
        )
        await self._drop(claim, attempt, dropped)


def _ends_more_than_a_try(error: Exception) -> bool:
    """Whether it concerns the run, or all that this machine does; one without a compiler runs other programs."""
    if isinstance(error, SandboxMissing):
        return not isinstance(error, CompilerMissing)
    return isinstance(error, (RunStopped, RecipeError)) or is_lost(error)


def _nothing_accepted() -> Dropped:
    return Dropped(reason=DropReason.NOTHING_ACCEPTED)


def _describe(error: Exception) -> str:
    if isinstance(error, KatError):
        return _storable(f"{type(error).__name__}: {error}")
    return _storable("".join(traceback.format_exception(error, limit=-4)))


def _storable(text: str) -> str:
    """Return `text` as a column can hold it, whatever an exception quotes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
