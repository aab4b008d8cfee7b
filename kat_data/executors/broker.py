"""What both ends of the broker agree on: its place, the queues, and the two tasks."""

from enum import StrEnum
from typing import TYPE_CHECKING

from kat_data.domain.job import JobKind
from kat_data.errors import BrokerError
from kat_data.executors import embedded_broker
from kat_data.settings import Settings, mask_password
from kat_data.stages.stage import Kind

if TYPE_CHECKING:
    from celery import Celery


class Queue(StrEnum):
    """The queues, by kind of work: three for the stages of runs, and those of jobs."""

    CPU = "kat.cpu"
    LLM = "kat.llm"
    VERIFY = "kat.verify"
    IO = "kat.io"
    TRAIN = "kat.train"


QUEUES = {kind: Queue(f"kat.{kind.value}") for kind in Kind}
"""Where wake-ups for stages go."""

JOB_QUEUES = {JobKind.SNAPSHOT: Queue.IO}
"""Where wake-ups for jobs go."""

WORK = "kat.work"
"""The task: be at work on a run for some seconds. Its one argument is the run's id."""

JOB = "kat.job"
"""The task: take up the oldest job of a kind that nobody works on. Its one argument is the kind."""

ATTEND_SECONDS = 15
_HARD_LIMIT = 4 * ATTEND_SECONDS
_REDIS_OPTIONS = {
    "visibility_timeout": 3 * _HARD_LIMIT,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 5,
}


def broker_url(settings: Settings) -> str:
    """Return the broker's URL, starting the embedded one where none is set."""
    return settings.broker_url or embedded_broker.start(settings.home)


def make_app(url: str) -> "Celery":
    """Return the Celery application; raises `BrokerError` where Celery is not installed."""
    try:
        import kombu
        from celery import Celery
    except ImportError:
        raise BrokerError("Celery is not installed: run `pip install 'kat-data[worker]'`") from None
    app = Celery("kat_data", broker=url)
    app.conf.update(
        task_queues=[kombu.Queue(queue.value, routing_key=queue.value) for queue in Queue],
        task_default_queue=Queue.LLM.value,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_time_limit=_HARD_LIMIT,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_REDIS_OPTIONS if url.startswith("redis") else {},
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.2},
    )
    return app


def wake(app: "Celery", run: int, kind: Kind, *, expires: float | None = None) -> None:
    """Ask one worker that serves `kind` to work on the run; raises `BrokerError` where the broker is not there."""
    _send(app, WORK, run, QUEUES[kind], expires)


def wake_for_job(app: "Celery", kind: JobKind, *, expires: float | None = None) -> None:
    """Ask one worker that serves `kind` to take up a job; raises `BrokerError` where the broker is not there."""
    _send(app, JOB, kind.value, JOB_QUEUES[kind], expires)


def _send(app: "Celery", task: str, argument: int | str, queue: Queue, expires: float | None) -> None:
    from kombu.exceptions import OperationalError

    try:
        # A queue and no exchange: the nameless one needs no bindings, which a broker could lose with its data.
        app.send_task(task, args=[argument], queue=queue.value, expires=expires)
    except OperationalError as error:
        place = mask_password(str(app.conf.broker_url))
        raise BrokerError(f"The broker at {place} does not answer: {error}; start it, or set KAT_BROKER_URL") from error
