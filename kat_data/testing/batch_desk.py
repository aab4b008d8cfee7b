"""What servers of Batch APIs share: batches handed in, how each goes, and what its rows come to."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["completed", "expired", "cancelled", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one batch goes: it ends as `end`, after so many `looks` at it, with `answered` of its rows done (or all).

    A batch that failed was not taken up at all, for `code` and `text`.
    """

    end: End = "completed"
    looks: int = 1
    answered: int | None = None
    code: str = "invalid_json_line"
    text: str = "scripted failure"


@dataclass(slots=True, kw_only=True)
class ServedBatch:
    """A batch as the server has it; rows are (custom id, body) in their order."""

    ident: str
    rows: Sequence[tuple[str, dict[str, Any]]]
    course: Course
    created_at: float
    metadata: dict[str, str] = field(default_factory=dict)
    seen: int = 0
    ended: bool = False

    @property
    def done(self) -> list[tuple[str, dict[str, Any]]]:
        """The rows that are answered once it has ended."""
        if self.course.end == "failed":
            return []
        return list(self.rows[: len(self.rows) if self.course.answered is None else self.course.answered])

    @property
    def left(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self.rows[len(self.done) :])

    @property
    def progress(self) -> int:
        """How many rows are done by now."""
        return len(self.done) * min(self.seen, self.course.looks) // self.course.looks


class BatchDesk:
    """Keeps the batches of one server; `handed_in` counts how often each custom id came.

    While `held`, no batch ends. `clock` gives seconds since the epoch.
    """

    def __init__(self, prefix: str, *, clock: Callable[[], float] = time.time) -> None:
        self.batches: dict[str, ServedBatch] = {}
        self.handed_in: Counter[str] = Counter()
        self.held = False
        self._prefix = prefix
        self._courses: deque[Course] = deque()
        self._clock = clock

    def plan(self, *courses: Course) -> None:
        """Let the next batches go so, one each; others are completed at the first look."""
        self._courses.extend(courses)

    def take(self, rows: Sequence[tuple[str, dict[str, Any]]], metadata: dict[str, str] | None = None) -> ServedBatch:
        """Take in a batch."""
        self.handed_in.update(ident for ident, _ in rows)
        batch = ServedBatch(
            ident=f"{self._prefix}{len(self.batches) + 1:06d}",
            rows=rows,
            course=self._courses.popleft() if self._courses else Course(),
            created_at=self._clock(),
            metadata=metadata or {},
        )
        self.batches[batch.ident] = batch
        return batch

    def look(self, ident: str) -> ServedBatch | None:
        """Return a batch, one look further on."""
        batch = self.batches.get(ident)
        if batch is not None and not batch.ended and not self.held:
            batch.seen += 1
            batch.ended = batch.seen >= batch.course.looks
        return batch

    def newest(self, *, after: str | None, limit: int) -> tuple[list[ServedBatch], bool]:
        """Return a page of batches, the newest first, and whether there are more."""
        known = list(reversed(self.batches.values()))
        start = 1 + next((n for n, batch in enumerate(known) if batch.ident == after), -1)
        return known[start : start + limit], len(known) > start + limit
