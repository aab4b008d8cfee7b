"""The client side of jobs: ask for one, and wake a worker for it."""

from collections.abc import Mapping
from typing import Any

from kat_data.domain.job import JobKind
from kat_data.executors.broker import broker_url, make_app, wake_for_job
from kat_data.registry import jobs
from kat_data.registry.jobs import JobRow
from kat_data.registry.session import Registry
from kat_data.settings import Settings


def ask(registry: Registry, settings: Settings, kind: JobKind, arguments: Mapping[str, Any]) -> JobRow:
    """Ask the fleet for a job, and return it; one that is open already is not asked for twice.

    Raises `BrokerError` where the broker is not there; the job is open all the same, unless Celery is not installed.
    """
    app = make_app(broker_url(settings))
    try:
        with registry.engine.begin() as connection:
            job = jobs.ask(connection, kind, arguments)
        wake_for_job(app, kind)
    finally:
        app.close()
    return job
