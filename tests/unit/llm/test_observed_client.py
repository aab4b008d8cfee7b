"""An observed client passes everything on, and tells how each request went."""

import asyncio
import logging
from typing import Any

import pytest

from kat_data.clock import ManualClock
from kat_data.domain.call import CallRequest, FinishReason, Reply, Usage
from kat_data.errors import EndpointRefused, RequestRejected
from kat_data.llm.client import Transient
from kat_data.llm.observed_client import ObservedClient, outcome_of
from kat_data.observer import Unobserved
from kat_data.testing import a_request

REPLY = Reply(text="yes", finish_reason=FinishReason.STOP, usage=Usage(prompt_tokens=7, completion_tokens=3))


class Heard(Unobserved):
    def __init__(self) -> None:
        self.tries: list[tuple[Any, ...]] = []

    def tried(self, endpoint: str, model: str, outcome: str, seconds: float, **tokens: int) -> None:
        self.tries.append((endpoint, model, outcome, seconds, tokens))


class Answers:
    """Takes two seconds for everything."""

    def __init__(self, clock: ManualClock, *answers: Reply | BaseException) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.closed = False

    async def complete(self, request: CallRequest) -> Reply:
        self._clock.advance(2.0)
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


async def test_an_answer_is_told_with_its_tokens() -> None:
    clock, heard = ManualClock(), Heard()
    inner = Answers(clock, REPLY)
    client = ObservedClient(inner, "here", heard, clock)
    request = a_request()
    assert await client.complete(request) is REPLY
    assert heard.tries == [("here", request.model, "answered", 2.0, {"prompt_tokens": 7, "completion_tokens": 3})]
    await client.close()
    assert inner.closed


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Transient("429", throttled=True), "throttled"),
        (Transient("no", unreachable=True), "unreachable"),
        (Transient("500"), "faulty"),
        (EndpointRefused("401"), "refused"),
        (RequestRejected("400"), "rejected"),
        (asyncio.CancelledError(), "cancelled"),
        (ZeroDivisionError(), "defect"),
    ],
)
async def test_a_failure_is_told_and_raised(error: BaseException, outcome: str) -> None:
    clock, heard = ManualClock(), Heard()
    with pytest.raises(type(error)):
        await ObservedClient(Answers(clock, error), "here", heard, clock).complete(a_request())
    assert [(tried[2], tried[3]) for tried in heard.tries] == [(outcome, 2.0)]
    assert outcome_of(error) == outcome


async def test_a_hundred_throttled_calls_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kat_data")
    clock = ManualClock()
    errors = [Transient("429, slow down", throttled=True, retry_after=30.0) for _ in range(100)]
    client = ObservedClient(Answers(clock, *errors), "here", Heard(), clock)
    for _ in errors:
        with pytest.raises(Transient):
            await client.complete(a_request())
    [record] = caplog.records
    assert (record.msg, record.kat["pause"], record.kat["endpoint"]) == ("endpoint.paused", 30.0, "here")
