"""The task shims: each calls one function of KAT Data."""

from contextlib import suppress
from typing import Any

from celery import shared_task

from kat_data.errors import BrokerError
from kat_data.executors.broker import ATTEND_SECONDS, QUEUES, WORK, wake
from workers import node


@shared_task(name=WORK, bind=True)
def work(self: Any, run: int) -> None:
    """Be at work on a run for some seconds, and ask for more of it where more is left.

    It can be delivered twice, late, or never: what is done, and by whom, is in Postgres.
    """
    if node.attendance().attend(run, ATTEND_SECONDS):
        queue = self.request.delivery_info.get("routing_key")
        with suppress(BrokerError):  # the reaper says so, and wakes us once the broker is back
            wake(self.app, run, next((kind for kind in QUEUES if QUEUES[kind] == queue), node.kinds[0]))
