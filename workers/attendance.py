"""A process at work on runs: an event loop in a thread of its own, with one session for each run."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg

from kat_data.domain.states import RunState
from kat_data.errors import EndpointDown, KatError, RecipeError, RegistryError, RunInterrupted, WorkerLost
from kat_data.executors.drain import Job, drain
from kat_data.logs import bound, note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.pipeline.run import conclude, left_to_others, note_stop
from kat_data.pipeline.wiring import batch_endpoints, check_keys
from kat_data.pipeline.workshop import Workshop, items_in_flight
from kat_data.registry import runs
from kat_data.registry.session import Registry
from kat_data.sandbox.base import Sandbox
from kat_data.stages.stage import Kind
from kat_data.verifiers.dispatch import Verifiers

GRACE_SECONDS = 5.0
"""How long a session goes on after the task that asked for it, so that the next one finds it at work."""

IDLE_SECONDS = 2.0
"""How long a session that finds nothing to do holds on to its task."""

MOST_ITEMS = 256
"""How many items one process has in hand at most, so that a small run is shared and a kill frees little."""

_REFUSED_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Attendance:
    """Works on runs when asked to; `attend` blocks, and everything else happens in the thread of its event loop.

    Once `is_ending` says so, it takes no new items.
    """

    def __init__(
        self,
        open_registry: Callable[[], Registry],
        *,
        kinds: Collection[Kind],
        open_sandbox: Callable[[], Sandbox | None],
        home: Path,
        is_ending: Callable[[], bool] = lambda: False,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._open_registry = open_registry
        self._kinds = tuple(kinds)
        self._verifiers = Verifiers(open_sandbox=open_sandbox)
        self._home = home
        self._is_ending = is_ending
        self._observer = observer
        self._sessions: dict[int, Session] = {}
        self._storing: set[Session] = set()
        self._refused: dict[int, float] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="attendance", daemon=True)
        self._thread.start()

    def attend(self, run: int, seconds: float) -> bool:
        """Be at work on the run for `seconds`, less where nothing is left to do; return whether more is left.

        What is under way at the end goes on for a while, and under the next call for the same run.
        """
        return asyncio.run_coroutine_threadsafe(self._attend(run, seconds), self._loop).result()

    def close(self) -> None:
        """Store what is under way, give back the rest, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._verifiers.close()

    async def _attend(self, run: int, seconds: float) -> bool:
        if self._is_ending() or time.monotonic() < self._refused.get(run, 0.0):
            return False
        session = self._session(run)
        more = await session.attend(seconds, self._is_ending)
        if session.refused:
            self._refused[run] = time.monotonic() + _REFUSED_SECONDS
        return more

    def _session(self, run: int) -> "Session":
        before = self._sessions.get(run)
        if before is not None and not before.leaving:
            return before
        self._storing = {session for session in self._storing | {before} if session and not session.over}
        session = self._sessions[run] = Session(run, self._open_registry, self._shop, self._kinds)
        return session

    async def _leave(self) -> None:
        await asyncio.gather(*(session.leave() for session in {*self._sessions.values(), *self._storing}))

    def _shop(self, registry: Registry) -> Workshop:
        return Workshop(registry=registry, verifiers=self._verifiers, home=self._home, observer=self._observer)


class Session:
    """One worker's time at one run, from the first task that asks for it until some seconds after the last.

    `refused` says that this process lacks what the run needs, such as an endpoint or its key.
    """

    def __init__(
        self,
        run: int,
        open_registry: Callable[[], Registry],
        shop: Callable[[Registry], Workshop],
        kinds: Collection[Kind],
    ) -> None:
        self.refused = False
        self._run = run
        self._open_registry = open_registry
        self._shop = shop
        self._kinds = kinds
        self._stop = asyncio.Event()
        self._until = 0.0
        self._watched: Watched | None = None
        self._work = asyncio.create_task(self._work_quietly())

    @property
    def leaving(self) -> bool:
        """Whether it takes no new items any more."""
        return self._stop.is_set() or self._work.done()

    @property
    def over(self) -> bool:
        """Whether everything that was under way is stored."""
        return self._work.done()

    async def attend(self, seconds: float, is_ending: Callable[[], bool]) -> bool:
        """Be at work for `seconds`, less where nothing is left to do or the node ends; return whether more is left."""
        start = time.monotonic()
        self._until = start + seconds + GRACE_SECONDS
        while (left := start + seconds - time.monotonic()) > 0 and not self.leaving:
            if is_ending():
                self._stop.set()
            if self._watched is not None and self._watched.idle_seconds > IDLE_SECONDS:
                return False
            await asyncio.wait({self._work}, timeout=min(left, 0.5))
        return not self.leaving

    async def leave(self) -> None:
        """Take no new items, and wait until what is under way is stored."""
        self._stop.set()
        await self._work

    async def _work_quietly(self) -> None:
        """Work on the run; what ends it is left in the registry, where it can be, and in the log."""
        try:
            registry = await asyncio.to_thread(self._open_registry)
        except KatError as error:
            note(_log, logging.ERROR, "registry.unreachable", reason=str(error))
            return
        watch = asyncio.create_task(self._end_in_time())
        try:
            with bound(run=self._run):
                await self._work_on(registry)
        except RunInterrupted:
            pass  # asked for: the time is over, the node shuts down, or the run was cancelled
        except WorkerLost as error:  # the run goes on with the others, and here with the next session
            note(_log, logging.ERROR, "worker.lost", run=self._run, reason=str(error))
        except (RegistryError, psycopg.OperationalError) as error:
            self._log_lost(error)
        except KatError as error:
            await self._stop_run(registry, error)
        except Exception:
            _log.exception("a defect ended the session of run %s", self._run)
        finally:
            watch.cancel()
            self._stop.set()
            registry.close()

    async def _stop_run(self, registry: Registry, error: KatError) -> None:
        """Stop the run; an endpoint that only this machine may not reach is no reason while others are at work."""
        try:
            if isinstance(error, EndpointDown) and await asyncio.to_thread(left_to_others, registry, self._run):
                self.refused = True
                note(_log, logging.ERROR, "run.refused", run=self._run, reason=str(error))
                return
            note(_log, logging.ERROR, "run.stopped", run=self._run, error=error, reason=str(error))
            await asyncio.to_thread(note_stop, registry, self._run, str(error))
        except (RegistryError, psycopg.OperationalError) as error:
            self._log_lost(error)

    def _log_lost(self, error: Exception) -> None:
        note(_log, logging.ERROR, "registry.lost", run=self._run, reason=str(error).partition("\n")[0])

    async def _work_on(self, registry: Registry) -> None:
        with registry.engine.connect() as connection:
            row = runs.get_run(connection, self._run)
        if row.state is not RunState.OPEN:
            return
        recipe = parse_recipe(row.recipe, f"run {row.id}")
        try:
            check_keys(recipe)
        except RecipeError as error:
            self.refused = True
            note(_log, logging.ERROR, "run.refused", reason=str(error))
            return
        shop = self._shop(registry)
        async with shop.open_job(row, recipe, stop=self._stop, kinds=self._kinds) as job:
            note(_log, logging.INFO, "run.taken_up", recipe=row.name)
            self._watched = Watched(job)
            await drain(self._watched, in_flight=_in_hand(recipe), clock=shop.clock, stop=self._stop)
        concluded = await asyncio.to_thread(conclude, registry, self._run)
        event = "run.left" if concluded.state is RunState.OPEN else f"run.{concluded.state.value}"
        note(_log, logging.INFO, event, reason=concluded.reason)

    async def _end_in_time(self) -> None:
        while (left := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 (the end moves with each `attend`)
            await asyncio.sleep(left)
        self._stop.set()


def _in_hand(recipe: Recipe) -> int:
    """Return how many items one process takes: few, so that others get some, but enough to fill batches."""
    wanted = items_in_flight(recipe)
    return wanted if batch_endpoints(recipe) else min(MOST_ITEMS, wanted)


class Watched:
    """A job that tells how long it has had nothing to do."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._in_hand = 0
        self._busy_at = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since it last had an item in hand."""
        return 0.0 if self._in_hand else time.monotonic() - self._busy_at

    async def claim(self, limit: int) -> Sequence[Any]:
        return await self._job.claim(limit)

    async def work(self, claim: Any) -> None:
        self._in_hand += 1
        try:
            await self._job.work(claim)
        finally:
            self._in_hand -= 1
            self._busy_at = time.monotonic()

    async def waiting(self) -> tuple[bool, float | None]:
        return await self._job.waiting()
