"""Structured logs: events with fields, one line each, with the run, stage and query that are being worked on.

`note(logger, logging.INFO, "item.dead", reason=…)` writes an event; `bound(run=…, stage=…)` names where it happens.
Texts of prompts and answers are no fields: a query stands as its content hash.
"""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

from kat_data.redaction import redact

FORMATS = ("auto", "off", "text", "json")
LEVELS = ("debug", "info", "warning", "error")
OURS = ("kat_data", "workers")

logging.getLogger("kat_data").addHandler(logging.NullHandler())  # who did not ask for our events gets none

_bound: ContextVar[Mapping[str, Any]] = ContextVar("kat_log_fields", default=MappingProxyType({}))


def note(
    logger: logging.Logger, level: int, event: str, /, *, error: BaseException | None = None, **fields: Any
) -> None:
    """Log an event with its fields; `error` adds where it was raised, and not what it says."""
    if logger.isEnabledFor(level):
        found = fields | ({"error": type(error).__name__, "raised_at": _place(error)} if error else {})
        logger.log(level, event, extra={"kat": {**_bound.get(), **found}}, stacklevel=2)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to every event inside, in this task and those that it starts.

    A field that is a function is called when a line is written.
    """
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class Seldom:
    """Lets one of many events of the same kind through in `seconds`, with the number of those that it stands for."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._kinds: dict[str, tuple[float, int]] = {}

    def __call__(self, kind: str) -> int:
        """Return how many events of the kind there were since the last that went through; 0 keeps this one back."""
        last, waiting = self._kinds.get(kind, (-self._seconds, 0))
        now = time.monotonic()
        if now - last < self._seconds:
            self._kinds[kind] = (last, waiting + 1)
            return 0
        self._kinds[kind] = (now, 0)
        return waiting + 1


def configure(form: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Write our events to `stream` (stderr), and other libraries' warnings; again, it replaces what it set before.

    `off` leaves the other libraries' warnings. Every line is redacted.
    """
    handler = _Handler(stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    silent = form not in ("text", "json")
    for name in OURS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1 if silent else level.upper())


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, then the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        import orjson

        line = {"time": _time(record), "level": record.levelname.lower(), **_fields(record)}
        return redact(orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


class TextLines(logging.Formatter):
    """One line for people: time, level, event, then `name=value` for each field."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        event = fields.pop("event")
        said = " ".join(f"{name}={_short(value)}" for name, value in fields.items())
        return redact(f"{_time(record)} {record.levelname:<7} {event} {said}".rstrip())


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the time, so that a progress bar that takes it over keeps its place."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream)
        self._given = stream

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = self._given or sys.stderr
        super().emit(record)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of our events, or those that stand for another library's message."""
    ours = getattr(record, "kat", None)
    if ours is None:
        fields = {"event": "log", "logger": record.name, "message": record.getMessage()}
        return fields | ({"traceback": logging.Formatter().formatException(record.exc_info)} if record.exc_info else {})
    return {"event": record.msg, **{name: value() if callable(value) else value for name, value in ours.items()}}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return repr(text) if not text or any(sign.isspace() for sign in text) else text


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
