"""The reaper: a thread of every node that frees what dead workers held, and wakes workers for what can be worked on.

The broker may lose every message: within `INTERVAL` seconds the reapers send what is needed again.
"""

import logging
import time
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg
from celery.worker import state

from kat_data.domain.job import JobKind
from kat_data.errors import KatError
from kat_data.executors.broker import broker_url, wake, wake_for_job
from kat_data.pipeline.fleet import Work, work_left
from kat_data.registry import jobs
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings
from workers import node

if TYPE_CHECKING:
    from celery import Celery

INTERVAL = 2.0

JOB_INTERVAL = 15.0
"""A process that works on a run comes to other messages no more often."""

_log = logging.getLogger(__name__)


class Reaper:
    """Looks at the registry every `INTERVAL` seconds and wakes as many workers as this node has free processes.

    For each job that waits it sends one wake-up every `JOB_INTERVAL` seconds, whether a process is free or not.

    It keeps what is embedded running, too, and gives the node's sign of life where the settings name a file for it.
    """

    def __init__(self, app: "Celery", settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._stop = Event()
        self._registry: Registry | None = None
        self._woken: dict[int, float] = {}
        self._turn = 0
        self._thread = Thread(target=self._look_again_and_again, name="reaper", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; the node takes no new work."""
        self._stop.set()

    def _look_again_and_again(self) -> None:
        trouble = ""
        while not self._stop.wait(INTERVAL):
            try:
                waiting, found = self._look()
                self._beat()  # a broker that is lost is no fault of this node
                self._wake(waiting, found)
                trouble = ""
            except (KatError, psycopg.OperationalError) as error:
                self._disconnect()  # connecting anew starts an embedded server that was lost
                if str(error) != trouble:  # one line for one trouble, however long it lasts
                    _log.warning("no wake-ups: %s", error)
                trouble = str(error)
            except Exception:
                _log.exception("a defect kept the reaper from its work")

    def _look(self) -> tuple[list[tuple[int, JobKind]], list[Work]]:
        """Free what dead workers held, and return the jobs that wait and the work that is left."""
        self._registry = self._registry or connect(self._settings)
        with self._registry.engine.begin() as connection:
            jobs.free_dead(connection)
            waiting = jobs.waiting(connection, node.jobs)
        return waiting, work_left(self._registry, node.kinds) if node.kinds else []

    def _wake(self, waiting: list[tuple[int, JobKind]], found: list[Work]) -> None:
        broker_url(self._settings)  # an embedded broker that was lost is started again
        self._wake_for_jobs(waiting)
        # Without a broker no message comes in, not even those of our own processes that they are done: they seem busy.
        free = node.processes - len(state.active_requests)
        for _ in range(free if found else 0):
            work = found[self._turn % len(found)]
            self._turn += 1  # also from one look to the next: with one process free, each run has its turn
            wake(self._app, work.run, work.kind, expires=2 * INTERVAL)

    def _beat(self) -> None:
        """Touch the heartbeat: the node looked at the registry, and would take work."""
        if self._settings.heartbeat is not None:
            self._settings.heartbeat.touch()

    def _wake_for_jobs(self, waiting: list[tuple[int, JobKind]]) -> None:
        now = time.monotonic()
        recently = {job: at for job, at in self._woken.items() if at > now - JOB_INTERVAL}
        for job, kind in waiting:
            if job not in recently:
                wake_for_job(self._app, kind, expires=2 * JOB_INTERVAL)
                recently[job] = now
        self._woken = recently

    def _disconnect(self) -> None:
        if self._registry is not None:
            self._registry.close()
        self._registry = None
