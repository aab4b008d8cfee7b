"""One worker's time at one run, from the first task that asks for it until some time after the last."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from kat_data.executors.broker import ATTEND_SECONDS
from kat_data.executors.drain import Job, drain
from kat_data.logs import note
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.recipe import Recipe
from kat_data.pipeline.wiring import batch_endpoints
from kat_data.pipeline.work import Ending, How, work_on
from kat_data.pipeline.workshop import Workshop, items_in_flight
from kat_data.registry.session import Registry, is_lost
from kat_data.stages.stage import Kind

CLAIM_SECONDS = 5.0
"""How long a session goes on to claim items after the task that asked for it, so that the next one finds it busy."""

GRACE_SECONDS = 2.0 * ATTEND_SECONDS
"""How long a session lasts after the task that asked for it: a round of tasks for other runs leaves its parts warm."""

IDLE_SECONDS = 2.0
"""How long a session that finds nothing to do holds on to its task."""

MOST_ITEMS = 256
"""How many items one process has in hand at most, so that a small run is shared and a kill frees little."""

_log = logging.getLogger(__name__)


class Session:
    """Works on a run in the background as long as it is attended, and for `GRACE_SECONDS` more.

    In that time it ends what it has in hand, and claims nothing more but for a moment. `ended` is told how it ended.
    """

    def __init__(
        self,
        run: int,
        open_registry: Callable[[], Registry],
        shop: Callable[[Registry], Workshop],
        kinds: Collection[Kind],
        is_ending: Callable[[], bool],
        ended: Callable[[int, Ending], None],
    ) -> None:
        self._run = run
        self._open_registry = open_registry
        self._shop = shop
        self._kinds = kinds
        self._is_ending = is_ending
        self._ended = ended
        self._stop = asyncio.Event()
        self._until = 0.0
        self._watched: Watched | None = None
        self._work = asyncio.create_task(self._work_and_tell())

    @property
    def leaving(self) -> bool:
        """Whether it takes no new items any more."""
        return self._stop.is_set() or self._work.done()

    @property
    def over(self) -> bool:
        """Whether everything that was under way is stored."""
        return self._work.done()

    async def attend(self, seconds: float) -> bool:
        """Be at work for `seconds`, less where nothing is left to do or the node ends; return whether more is left."""
        start = time.monotonic()
        self._until = max(self._until, start + seconds)
        while (left := start + seconds - time.monotonic()) > 0 and not self.over:
            if self._is_ending():
                self._stop.set()
                return False
            if self._watched is not None and self._watched.idle_seconds > IDLE_SECONDS:
                return False
            await asyncio.wait({self._work}, timeout=min(left, 0.5))
        return not self.leaving

    async def leave(self) -> None:
        """Take no new items, and wait until what is under way is stored."""
        self._stop.set()
        await asyncio.wait({self._work})

    async def _work_and_tell(self) -> None:
        """Work on the run; what ended it is told, and left in the registry, where it can be."""
        registry: Registry | None = None
        try:
            registry = await asyncio.to_thread(self._open_registry)
            ending = await self._work_on(self._shop(registry))
        except Exception as error:  # of opening the registry alone: `work_on` raises none
            ending = Ending(how=How.REGISTRY_LOST if is_lost(error) else How.DEFECT, error=error)
        finally:
            self._stop.set()
            if registry is not None:
                await asyncio.to_thread(registry.close)
        _log_ending(self._run, ending)
        self._ended(self._run, ending)

    async def _work_on(self, shop: Workshop) -> Ending:
        async def work(job: RunJob, recipe: Recipe) -> None:
            self._watched = Watched(job, self._may_claim)
            await drain(self._watched, in_flight=_in_hand(recipe), clock=shop.clock, stop=self._stop)

        watch = asyncio.create_task(self._end_in_time())
        try:
            return await work_on(shop, self._run, work, executor="celery", stop=self._stop, kinds=self._kinds)
        finally:
            watch.cancel()

    def _may_claim(self) -> bool:
        return time.monotonic() < self._until + CLAIM_SECONDS and not self._is_ending()

    async def _end_in_time(self) -> None:
        while (left := self._until + GRACE_SECONDS - time.monotonic()) > 0:  # noqa: ASYNC110 (the end moves)
            await asyncio.sleep(left)
        self._stop.set()


def _log_ending(run: int, ending: Ending) -> None:
    """Write what ended the work of this process alone; what ended the run's is written where it is stored."""
    match ending.how:
        case How.LACKING:
            note(_log, logging.ERROR, "run.refused", run=run, reason=ending.reason)
        case How.WORKER_LOST:  # the run goes on with the others, and here with the next session
            note(_log, logging.ERROR, "worker.lost", run=run, reason=ending.reason)
        case How.REGISTRY_LOST:
            note(_log, logging.ERROR, "registry.lost", run=run, reason=ending.reason)
        case How.DEFECT:
            _log.error("a defect ended the session of run %s", run, exc_info=ending.error)


def _in_hand(recipe: Recipe) -> int:
    """Return how many items one process takes: few, so that others get some, but enough to fill batches."""
    wanted = items_in_flight(recipe)
    return wanted if batch_endpoints(recipe) else min(MOST_ITEMS, wanted)


class Watched:
    """A job that tells how long it has had nothing to do, and from which nothing is claimed unless it may be."""

    def __init__(self, job: Job, may_claim: Callable[[], bool]) -> None:
        self._job = job
        self._may_claim = may_claim
        self._in_hand = 0
        self._busy_at = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since it last had an item in hand."""
        return 0.0 if self._in_hand else time.monotonic() - self._busy_at

    async def claim(self, limit: int) -> Sequence[Any]:
        return await self._job.claim(limit) if self._may_claim() else ()

    async def work(self, claim: Any) -> None:
        self._in_hand += 1
        try:
            await self._job.work(claim)
        finally:
            self._in_hand -= 1
            self._busy_at = time.monotonic()

    async def waiting(self) -> tuple[bool, float | None]:
        return await self._job.waiting()
