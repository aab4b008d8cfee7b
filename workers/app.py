"""The Celery application: what a node serves, its reaper, and how its processes end."""

import logging
import sys
import warnings
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from kat_data.errors import KatError
from kat_data.executors.broker import JOB_QUEUES, QUEUES, broker_url, make_app
from kat_data.logs import configure
from kat_data.settings import Settings
from workers import node
from workers.reaper import Reaper

# Celery's notice, at each loss of the broker, of what its next major version will do with tasks that go on meanwhile.
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)

try:
    settings = Settings.load()
    app = make_app(broker_url(settings))
except KatError as error:  # before Celery makes a long traceback of one clear line
    sys.exit(f"workers: {error}")
app.conf.imports = ("workers.tasks",)
_reapers: list[Reaper] = []


@setup_logging.connect
def _write_logs(**_: Any) -> None:
    """Write our events, and Celery's own lines; connected, it keeps Celery from setting up logs of its own."""
    configure("json" if settings.log == "auto" else settings.log, settings.log_level)
    logging.getLogger("celery").setLevel(logging.INFO)


@celeryd_after_setup.connect
def _know_the_node(instance: Any, **_: Any) -> None:
    """Note what this node serves, before its processes are forked."""
    served = set(app.amqp.queues.consume_from)
    stages = [kind for kind, queue in QUEUES.items() if queue in served]
    jobs = [kind for kind, queue in JOB_QUEUES.items() if queue in served]
    node.serve(stages, jobs, by=instance.concurrency or 1)


@worker_ready.connect
def _start_reaper(**_: Any) -> None:
    _reapers.append(Reaper(app, settings))
    _reapers[-1].start()


@worker_shutting_down.connect
def _begin_to_leave(**_: Any) -> None:
    node.end()
    for reaper in _reapers:
        reaper.stop()


@worker_process_shutdown.connect
@worker_shutdown.connect
def _leave(**_: Any) -> None:
    """End the attendance where it is: in a process of the pool, or for pools that have none in this one."""
    node.leave()
