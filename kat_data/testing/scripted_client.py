"""A client whose replies a function writes, in process."""

from collections.abc import Callable

from kat_data.domain.call import CallRequest, FinishReason, Reply
from kat_data.llm.client import Client

Script = Callable[[CallRequest], Reply | str | BaseException]
"""Answers a request with a reply, with the text of a finished one, or with an exception to raise."""


class ScriptedClient(Client):
    """Answers from `script`, and keeps every request that it was sent."""

    def __init__(self, script: Script) -> None:
        self.requests: list[CallRequest] = []
        self.closed = False
        self._script = script

    async def complete(self, request: CallRequest) -> Reply:
        self.requests.append(request)
        answer = self._script(request)
        if isinstance(answer, BaseException):
            raise answer
        return Reply(text=answer, finish_reason=FinishReason.STOP) if isinstance(answer, str) else answer

    async def close(self) -> None:
        self.closed = True
