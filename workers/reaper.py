"""The reaper: a thread of every node that frees what dead workers held, and wakes workers for what can be worked on.

The broker may lose every message: within `INTERVAL` seconds the reapers send what is needed again.
"""

import logging
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg
from celery.worker import state

from kat_data.errors import KatError
from kat_data.executors.broker import broker_url, wake
from kat_data.pipeline.fleet import work_left
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings
from workers import node

if TYPE_CHECKING:
    from celery import Celery

INTERVAL = 2.0
_log = logging.getLogger(__name__)


class Reaper:
    """Looks at the registry every `INTERVAL` seconds and wakes as many workers as this node has free processes.

    It keeps what is embedded running, too, and gives the node's sign of life where the settings name a file for it.
    """

    def __init__(self, app: "Celery", settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._stop = Event()
        self._registry: Registry | None = None
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
                self._look()
                self._beat()
                trouble = ""
            except (KatError, psycopg.OperationalError) as error:
                self._disconnect()  # connecting anew starts an embedded server that was lost
                if str(error) != trouble:  # one line for one trouble, however long it lasts
                    _log.warning("no wake-ups: %s", error)
                trouble = str(error)
            except Exception:
                _log.exception("a defect kept the reaper from its work")

    def _look(self) -> None:
        self._registry = self._registry or connect(self._settings)
        found = work_left(self._registry, node.kinds)
        broker_url(self._settings)  # an embedded broker that was lost is started again
        # Without a broker no message comes in, not even those of our own processes that they are done: they seem busy.
        free = node.processes - len(state.active_requests)
        for number in range(free if found else 0):
            work = found[number % len(found)]
            wake(self._app, work.run, work.kind, expires=2 * INTERVAL)

    def _beat(self) -> None:
        """Touch the heartbeat: the node looked at the registry, and would take work."""
        if self._settings.heartbeat is not None:
            self._settings.heartbeat.touch()

    def _disconnect(self) -> None:
        if self._registry is not None:
            self._registry.close()
        self._registry = None
