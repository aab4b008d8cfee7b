"""Group commit.

What arrives while one transaction runs goes together into the next, so that many writers share one fsync.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import orjson
import psycopg

DEADLOCKS = 5  # of one group, before its callers hear of them

Operation = TypeVar("Operation")
Result = TypeVar("Result")


class GroupCommit(Generic[Operation, Result]):
    """Hands operations to `flush` in groups of at most `limit`, one group at a time.

    `flush` returns one result for each, in order.

    A group that is refused for its data, by Postgres or on the way there, is done again one by one, so that one bad
    record fails alone; one that was undone to end a deadlock is done again whole, a few times. `told` gets the
    operations and the seconds of each group.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Operation]], Awaitable[Sequence[Result]]],
        *,
        limit: int = 256,
        linger: float = 0.0,
        told: Callable[[int, float], None] = lambda operations, seconds: None,
    ) -> None:
        self._flush = flush
        self._limit = limit
        self._linger = linger
        self._told = told
        self._waiting: list[tuple[Operation, asyncio.Future[Result]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, operation: Operation) -> Result:
        """Return the operation's result once its transaction is committed; a cancelled caller does not undo it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def drain(self) -> None:
        """Return when everything submitted so far is committed or has failed."""
        while self._worker is not None:
            await asyncio.shield(self._worker)

    async def _work(self) -> None:
        await asyncio.sleep(self._linger)  # others join the group; with 0, those of this turn of the loop
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._do(group)
        finally:
            self._worker = None

    async def _do(self, group: list[tuple[Operation, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._flushed([operation for operation, _ in group])
        except (psycopg.DataError, psycopg.IntegrityError, orjson.JSONEncodeError) as error:
            if len(group) == 1:
                _fail(group, error)
            else:
                for single in group:
                    await self._do([single])
        except Exception as error:
            _fail(group, error)
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def _flushed(self, operations: Sequence[Operation]) -> Sequence[Result]:
        for last in (False,) * (DEADLOCKS - 1) + (True,):
            start = time.monotonic()
            try:
                results = await self._flush(operations)
            except psycopg.errors.DeadlockDetected:
                if last:
                    raise
            else:
                self._told(len(operations), time.monotonic() - start)
                return results
        raise AssertionError


def _fail(group: list[tuple[Operation, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
