"""The task shims: each calls one function of KAT Data."""

from contextlib import suppress
from typing import Any

from celery import shared_task

from kat_data.domain.job import JobKind
from kat_data.errors import BrokerError
from kat_data.executors.broker import ATTEND_SECONDS, JOB, QUEUES, WORK, wake, wake_for_job
from kat_data.pipeline.fleet import Work
from workers import node

NO_LIMIT = 10 * 365 * 24 * 3600
"""In seconds: Celery has no word for no limit where the other tasks have one."""


@shared_task(name=WORK, bind=True)
def work(self: Any, run: int) -> None:
    """Be at work on a run for some seconds; where more of it is left, ask for the run whose turn it is here.

    It can be delivered twice, late, or never: what is done, and by whom, is in Postgres.
    """
    attendance = node.attendance()
    if attendance.attend(run, ATTEND_SECONDS):
        queue = self.request.delivery_info.get("routing_key")
        ours = Work(run=run, kind=next((kind for kind in QUEUES if QUEUES[kind] == queue), node.kinds[0]))
        following = attendance.choose_next() or ours  # what it has in hand is no work for others, and so not found
        with suppress(BrokerError):  # the reaper says so, and wakes us once the broker is back
            wake(self.app, following.run, following.kind)


@shared_task(name=JOB, bind=True, acks_late=False, time_limit=NO_LIMIT)
def job(self: Any, kind: str) -> None:
    """Take up the oldest job of a kind that nobody works on, and be at work on it until it is done.

    Its message is acknowledged before, for no broker waits so long; reapers wake others where this process dies.
    """
    if node.bench().take_up(JobKind(kind)):
        with suppress(BrokerError):  # as above
            wake_for_job(self.app, JobKind(kind))
