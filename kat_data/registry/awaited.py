"""Keys that other workers ask: one look at all of them together, as long as anyone here waits."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from kat_data.clock import Clock

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class AwaitedKeys:
    """Lets callers wait for keys; `settled` returns those of the given keys that are no longer being asked.

    Nobody looks while nobody waits. Where a look fails, everyone who waits gets its error.
    """

    def __init__(self, settled: Callable[[Collection[bytes]], Awaitable[Collection[bytes]]], clock: Clock) -> None:
        self._settled = settled
        self._clock = clock
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._pause = _FIRST_PAUSE
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, key: bytes) -> None:
        """Return when the key is no longer being asked: then it has a reply, is in a batch, or is free."""
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
            self._pause = _FIRST_PAUSE
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._waiting[key])

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))

    async def _look(self) -> None:
        try:
            while self._waiting:
                await self._clock.sleep(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
                for key in await self._settled(list(self._waiting)):
                    self._waiting.pop(key).set_result(None)
        except Exception as error:
            for waiting in self._waiting.values():
                waiting.set_exception(error)
                waiting.exception()  # a caller that was cancelled meanwhile does not take it
            self._waiting.clear()
        finally:
            self._looking = None
