"""Scripted role members behind a real gateway, told what to reply to each kind of question."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from kat_data.domain.call import Api, CallRequest, FinishReason, Reply
from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Verdict
from kat_data.errors import RequestRejected
from kat_data.llm.bound_model import BoundModel
from kat_data.pipeline.look import RegistryLook
from kat_data.stages.stage import Tools
from kat_data.testing import a_draft, a_model, a_reply, a_verdict, some_tools

# A field that only one reply schema has tells what is asked; a request without schema is a chat.
KIND_BY_FIELD = {
    "difficulty": "tag",
    "mode": "vote",
    "score": "panel",
    "check": "critic",
    "same": "compare",
    "analysis": "judge",
    "calls": "calls",
    "text": "paraphrase",
    "answers": "prefer",
    "result": "result",
    "steps": "plan",
}

PARTS = set(Tools.__dataclass_fields__)


class Player:
    """Replies by kind of question, each list in turn; a reply may be a text, a record of fields, or a whole `Reply`."""

    def __init__(self, **replies: list[Any]) -> None:
        self.requests: list[tuple[str, CallRequest]] = []
        self._replies = {kind: list(texts) for kind, texts in replies.items()}

    def __call__(self, request: CallRequest) -> Reply | str:
        kind = _kind(request)
        self.requests.append((kind, request))
        reply = self._replies[kind].pop(0)
        return json.dumps(reply) if isinstance(reply, dict) else reply

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.requests]

    def sent(self, kind: str) -> list[str]:
        """The last message of every request of one kind."""
        return [request.messages[-1].content for asked, request in self.requests if asked == kind]

    def model(self, name: str = "scripted", **fields: Any) -> BoundModel:
        return a_model(self, name=name, **({"attempts": 1} | fields))


def _kind(request: CallRequest) -> str:
    properties = (request.schema or {}).get("properties", {})
    return next((kind for field, kind in KIND_BY_FIELD.items() if field in properties), "chat")


@pytest.fixture
def player() -> type[Player]:
    return Player


@pytest.fixture
def cut() -> Reply:
    """A reply that was cut at the length limit."""
    return a_reply("so we", finish_reason=FinishReason.LENGTH)


@pytest.fixture
def tools() -> Callable[..., Tools]:
    """Build a stage's tools from models by role, parts by name, and the verdict that each answer is to get."""

    def build(
        verdicts: dict[str, Verdict | Outcome | None] | None = None,
        hits: Any = None,
        near: Any = None,
        **given: Any,
    ) -> Tools:
        async def verify(query: Query, candidate: Candidate) -> Verdict | None:
            assert verdicts is not None, "no verifier is expected to be asked"
            verdict = verdicts[candidate.answer]
            return a_verdict(verdict) if isinstance(verdict, Outcome) else verdict

        parts = {name: given.pop(name) for name in PARTS & given.keys()}
        models = {role: tuple(m) if isinstance(m, list) else (m,) for role, m in given.items()}
        return some_tools(models=models, verify=verify, index=RegistryLook(hits or {}, near), **parts)

    return build


@pytest.fixture
def reward_model() -> Callable[..., tuple[BoundModel, list[CallRequest]]]:
    """Build a reward model from the numbers that it gives each answer, none where it refuses; and its requests."""

    def build(rewards: dict[str, list[float] | None], **fields: Any) -> tuple[BoundModel, list[CallRequest]]:
        requests: list[CallRequest] = []

        def script(request: CallRequest) -> str | BaseException:
            requests.append(request)
            given = rewards[request.messages[-1].content]
            return RequestRejected("too long") if given is None else json.dumps(given)

        return a_model(script, name="reward", api=Api.CLASSIFY, **fields), requests

    return build


@pytest.fixture
def chosen() -> Callable[..., Draft]:
    """Build a draft whose turn has its mode."""

    def build(mode: Mode, query: Query | None = None, **fields: Any) -> Draft:
        return a_draft(query, choice=ModeChoice(mode=mode, origin=ModeOrigin.MAJORITY), **fields)

    return build
