"""A process at work on runs: an event loop in a thread of its own, with one session for each run."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Thread

from kat_data.logs import note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.fleet import Work, work_left
from kat_data.pipeline.work import Ending, How
from kat_data.pipeline.workshop import Workshop
from kat_data.registry.session import Registry, is_lost
from kat_data.sandbox.base import Sandbox
from kat_data.stages.stage import Kind
from kat_data.verifiers.dispatch import Verifiers
from workers.refusals import Refusals
from workers.session import Session

LEAVE_SECONDS = 45.0
"""How long a node that ends waits for what is under way, before it abandons it as a kill would."""

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
        self._sessions: set[Session] = set()
        self._of_run: dict[int, Session] = {}
        self._attended: dict[int, float] = {}
        self._refused = Refusals()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="attendance", daemon=True)
        self._thread.start()

    def attend(self, run: int, seconds: float) -> bool:
        """Be at work on the run for `seconds`, less where nothing is left to do; return whether more is left.

        What is under way at the end goes on for a while, and under the next call for the same run.
        """
        return asyncio.run_coroutine_threadsafe(self._attend(run, seconds), self._loop).result()

    def choose_next(self) -> Work | None:
        """Return what this process should do next: work on the run that it has attended least recently, or not at all.

        None where there is nothing to do, or where the registry is away.
        """
        try:
            with self._open_registry() as registry:
                left = work_left(registry, self._kinds)
        except Exception as error:
            if not is_lost(error):
                raise
            return None  # the sessions and the reaper say so
        return asyncio.run_coroutine_threadsafe(self._least_recent(left), self._loop).result()

    def close(self) -> None:
        """Store what is under way, give back the rest, and end the thread.

        After `LEAVE_SECONDS` what is still under way is abandoned, and goes with the process.
        """
        if asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._verifiers.close()

    async def _attend(self, run: int, seconds: float) -> bool:
        if self._is_ending() or run in self._refused:
            return False
        self._attended[run] = time.monotonic()
        more = await self._session(run).attend(seconds)
        self._attended[run] = time.monotonic()
        return more

    async def _least_recent(self, left: Collection[Work]) -> Work | None:
        """Choose among the runs, and forget when those that are done were attended."""
        self._attended = {work.run: self._attended[work.run] for work in left if work.run in self._attended}
        ours = [work for work in left if work.run not in self._refused]
        return min(ours, key=lambda work: self._attended.get(work.run, 0.0), default=None)

    def _session(self, run: int) -> Session:
        before = self._of_run.get(run)
        if before is not None and not before.leaving:
            return before
        self._sessions = {session for session in self._sessions if not session.over}
        session = Session(run, self._open_registry, self._shop, self._kinds, self._is_ending, self._ended)
        self._sessions.add(session)
        self._of_run[run] = session
        return session

    def _ended(self, run: int, ending: Ending) -> None:
        """Take note of how a session ended, and forget it."""
        match ending.how:
            case How.LACKING:
                self._refused.lacking(run)
            case How.DEFECT:
                self._refused.defect(run)
            case _:
                self._refused.forgive(run)
        if (session := self._of_run.get(run)) is not None and session.leaving:
            del self._of_run[run]

    async def _leave(self) -> bool:
        """End every session; return whether all are over."""
        leaving = [asyncio.create_task(session.leave()) for session in self._sessions]
        _, pending = await asyncio.wait(leaving, timeout=LEAVE_SECONDS) if leaving else ((), ())
        if pending:
            reason = f"not done within {LEAVE_SECONDS:.0f} s"
            note(_log, logging.WARNING, "sessions.abandoned", sessions=len(pending), reason=reason)
        return not pending

    def _shop(self, registry: Registry) -> Workshop:
        return Workshop(registry=registry, verifiers=self._verifiers, home=self._home, observer=self._observer)
