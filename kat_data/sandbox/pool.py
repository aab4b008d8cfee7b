"""A pool of slots: each program gets one for itself, worn ones are replaced, and lost ones cost no verdict."""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from kat_data.errors import SandboxFault
from kat_data.logs import note
from kat_data.sandbox.base import Limits, Loaded, Program
from kat_data.sandbox.slot import Slot, SlotLost

T = TypeVar("T")

_log = logging.getLogger(__name__)

PROGRAMS_A_SLOT = 1000
TRIES = 3
_LEAST_MEMORY_MB = Limits().memory_mb


_POOLS: "weakref.WeakSet[SlotPool]" = weakref.WeakSet()


class SlotPool:
    """At most `size` slots at work; safe from any thread, and in a forked child, which starts slots of its own.

    `start` makes a slot whose programs may hold so many megabytes.
    """

    def __init__(
        self, start: Callable[[int], Slot], *, size: int, name: str, trusted: bool, programs: int = PROGRAMS_A_SLOT
    ) -> None:
        """`programs` is how many a slot serves before it is replaced."""
        self.name = name
        self.trusted = trusted
        self._start = start
        self._size = size
        self._programs = programs
        self._forget()
        _POOLS.add(self)

    def _forget(self) -> None:
        """Begin with no slot; a forked child does so too, and leaves its parent's slots alone."""
        self._free = threading.BoundedSemaphore(self._size)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._idle: dict[int, list[Slot]] = {}
        self._closing: ThreadPoolExecutor | None = None
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def judge(self, program: Program, work: Callable[[Loaded], T]) -> T:
        """Return what `work` makes of the program in a clean slot; a lost slot is replaced and `work` starts again.

        Raises `SandboxFault` after three lost slots, `SandboxMissing` where none can be had.
        """
        with self._waiting():
            self._free.acquire()
        try:
            return self._judge(program, work)
        finally:
            self._free.release()

    @property
    def waited(self) -> float:
        """The seconds that this thread has spent so far in waiting for a slot to be free or to start."""
        return float(getattr(self._local, "waited", 0.0))

    def close(self) -> None:
        """End every idle slot and wait until they are gone; the pool may be used again afterwards."""
        with self._lock:
            closing, self._closing = self._closing, None
        if closing is not None:
            closing.shutdown()
        with self._lock:
            _close_all(self._idle)

    @contextmanager
    def _waiting(self) -> Generator[None]:
        """Count the time inside as waiting."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._local.waited = self.waited + time.monotonic() - start

    def _judge(self, program: Program, work: Callable[[Loaded], T]) -> T:
        lost, tries = "", 0
        while tries < TRIES:
            fresh = True
            try:
                with self._waiting():
                    slot = self._take(_memory_class(program.limits.memory_mb))
                fresh = slot.programs == 0  # one that waited may have died meanwhile, which says nothing
                return self._use(slot, program, work)
            except SlotLost as error:
                lost = str(error)
                tries += fresh
                note(_log, logging.WARNING, "sandbox.slot_lost", sandbox=self.name, reason=lost, fresh=fresh)
        raise SandboxFault(f"The sandbox {self.name} lost {TRIES} slots with one program, at last because {lost}.")

    def _use(self, slot: Slot, program: Program, work: Callable[[Loaded], T]) -> T:
        try:
            slot.load(program)
            result = work(slot)
            if not slot.worn:
                slot.end()
        except BaseException:
            slot.close()
            raise
        self._give_back(slot, _memory_class(program.limits.memory_mb))
        return result

    def _take(self, memory: int) -> Slot:
        with self._lock:
            idle = self._idle.get(memory)
            if idle:
                return idle.pop()
        return self._start(memory)

    def _give_back(self, slot: Slot, memory: int) -> None:
        if slot.worn or slot.programs >= self._programs:
            self._replace(slot, memory)
            return
        with self._lock:
            self._idle.setdefault(memory, []).append(slot)

    def _replace(self, slot: Slot, memory: int) -> None:
        """End a slot, off the path of whoever waits for a verdict."""
        with self._lock:
            self._closing = self._closing or ThreadPoolExecutor(1, thread_name_prefix="sandbox")
            self._closing.submit(slot.close)


def _memory_class(memory_mb: int) -> int:
    """Round up, so that few kinds of slots serve all programs."""
    size = _LEAST_MEMORY_MB
    while size < memory_mb:
        size *= 2
    return size


def _close_all(idle: dict[int, list[Slot]]) -> None:
    for slots in idle.values():
        while slots:
            slots.pop().close()


def _forget_all() -> None:
    for pool in _POOLS:
        pool._finalizer.detach()
        pool._forget()


os.register_at_fork(after_in_child=_forget_all)
