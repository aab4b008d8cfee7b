"""Requests and tokens that a worker may send of what an endpoint takes in a minute."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable

from kat_data.domain.slice import Drawn, EndpointLimits, Slice

_REMEMBERED = 64  # seconds after which a refund changes no minute any more


class Allowance:
    """Lets calls draw one request and their upper bound of tokens, first come first served, from what was given.

    Between two reports lies a period: what was drawn in it is dated by the answer to the report that ends it, and
    tokens that a call did not take are given back under that date. A call of more tokens than the endpoint takes in a
    minute draws a whole minute, and so passes alone.
    """

    def __init__(self, limits: EndpointLimits, wake: Callable[[], None]) -> None:
        self._limits = limits
        self._wake = wake
        self._requests = 0
        self._tokens = 0
        self._spent = Counter[str]()
        self._lately = Counter[str]()  # in this second
        self._recent = Counter[str]()  # in one second, of the last few
        self._second = 0
        self._period = 0
        self._dates: dict[int, int] = {}
        self._refunds = Counter[int]()
        self._waiting: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._told = False
        self._bypassed = False

    async def draw(self, tokens: int) -> int:
        """Wait for one request and `tokens`; returns the period that they count in."""
        tokens = self._bound(tokens)
        if self._bypassed or (not self._waiting and self._fits(tokens)):
            return self._take(tokens)
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, turn))
        if not self._told:
            self._told = True
            self._wake()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.settle(turn.result(), tokens, None)
            raise

    def settle(self, period: int, drawn: int, used: int | None) -> None:
        """Give back the tokens that a call did not take, and its request where it was not sent (`used` is none)."""
        unused = max(0, self._bound(drawn) - (used or 0))
        if period == self._period:
            self._spent["tokens"] -= unused
            self._tokens += unused
            if used is None:
                self._spent["requests"] -= 1
                self._requests += 1
            self._admit()
        elif unused:
            self._refunds[period] += unused

    def report(self) -> Drawn:
        """End the period, and say what became of what was given.

        What is held comes back while the first in line cannot use it: else workers could keep it from each other.
        """
        self._waiting = deque(each for each in self._waiting if not each[1].done())
        self._lately += self._spent
        ahead = self._lately | self._recent  # a second's worth is held ready, so that calls do not wait for renewals
        self._requests = 0 if self._waiting else max(0, min(self._requests, ahead["requests"]))
        self._tokens = 0 if self._waiting else max(0, min(self._tokens, ahead["tokens"]))
        drawn = Drawn(
            spent_requests=self._spent["requests"],
            spent_tokens=self._spent["tokens"],
            held_requests=self._requests,
            held_tokens=self._tokens,
            asks_requests=len(self._waiting) + ahead["requests"] - self._requests if self._limits.rpm else 0,
            asks_tokens=sum(tokens for tokens, _ in self._waiting) + ahead["tokens"] - self._tokens,
            needs_tokens=self._waiting[0][0] if self._waiting else 0,
            refunds=self._dated_refunds(),
        )
        self._spent.clear()
        self._period += 1
        return drawn

    def adopt(self, given: Slice) -> None:
        """Take up what the answer to the last report gives."""
        self._dates[self._period - 1] = given.second
        for period in [old for old, second in self._dates.items() if second < given.second - _REMEMBERED]:
            del self._dates[period]
            self._refunds.pop(period, None)
        if given.second > self._second:
            halved = Counter({name: number // 2 for name, number in self._recent.items()})
            self._recent, self._lately, self._second = self._lately | halved, Counter(), given.second
        self._requests += given.requests
        self._tokens += given.tokens
        self._admit()
        self._told = bool(self._waiting)

    def fail(self, error: Exception) -> None:
        """Raise `error` in everyone who waits."""
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(error)
        self._waiting.clear()

    def bypass(self) -> None:
        """Let everyone through, now and later."""
        self._bypassed = True
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            tokens, turn = self._waiting[0]
            if not turn.done():
                if not (self._bypassed or self._fits(tokens)):
                    break
                turn.set_result(self._take(tokens))
            self._waiting.popleft()

    def _fits(self, tokens: int) -> bool:
        return (self._limits.rpm is None or self._requests >= 1) and (
            self._limits.tpm is None or self._tokens >= tokens
        )

    def _take(self, tokens: int) -> int:
        self._requests -= 1
        self._tokens -= tokens
        self._spent["requests"] += 1
        self._spent["tokens"] += tokens
        return self._period

    def _bound(self, tokens: int) -> int:
        return 0 if self._limits.tpm is None else min(tokens, self._limits.tpm)

    def _dated_refunds(self) -> tuple[tuple[int, int], ...]:
        known = [period for period in self._refunds if period in self._dates]
        dated = Counter[int]()
        for period in known:
            dated[self._dates[period]] += self._refunds.pop(period)
        return tuple(sorted(dated.items()))
