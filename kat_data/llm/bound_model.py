"""Role members: a model bound to its endpoint, sampling and price, which asks again after a bad reply."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from pydantic import BaseModel

from kat_data.domain.call import Api, CallRequest, FinishReason, Price, Reply, Sampling
from kat_data.domain.query import Message, Role
from kat_data.errors import BadReply, ReplyCut, ReplyEmpty, ReplyMalformed
from kat_data.llm.gateway import Gateway
from kat_data.llm.model import Answer, Rewards, Structure, Structured
from kat_data.llm.reward_wire import unit_rewards
from kat_data.llm.structure import read_structure, schema_of

_FREE = Price()
_NO_SAMPLING = Sampling(max_tokens=0)  # reward models draw nothing
_REPAIR = (
    "That is not a valid answer: {problem}. Answer again with nothing but one JSON object that follows this schema: "
    "{schema}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundModel:
    """One member of a role, as stages see it (`model.Model`).

    `attempts` bounds the calls for one answer: a cut or empty reply is asked for again under the next attempt, and a
    structured reply that cannot be read gets one repair beside them. A model of another `api` than chat scores answers;
    `heads` name its numbers. `in_batch` sends its calls through the endpoint's Batch API.
    """

    gateway: Gateway
    endpoint: str
    name: str
    sampling: Sampling
    price: Price = _FREE
    revision: str = ""
    native_tools: bool = False
    native_reasoning: bool = False
    attempts: int = 2
    api: Api = Api.CHAT
    heads: tuple[str, ...] = ()
    in_batch: bool = False

    @property
    def gives_rewards(self) -> bool:
        return self.api not in {Api.CHAT, Api.EMBEDDINGS}

    async def chat(
        self, messages: Sequence[Message], *, sample: int = 0, tools: tuple[dict[str, Any], ...] = ()
    ) -> Answer:
        inquiry = _Inquiry(self, sample, tools=tools)
        while True:
            reply = await inquiry.ask(tuple(messages))
            fault = _fault(reply)
            if fault is None:
                return Answer(reply=reply, calls=inquiry.calls, tokens=inquiry.tokens)
            inquiry.bear(fault)

    async def ask(
        self, messages: Sequence[Message], schema: type[Structure], *, sample: int = 0
    ) -> Structured[Structure]:
        inquiry = _Inquiry(self, sample, schema=schema_of(schema))
        conversation = tuple(messages)
        while True:
            reply = await inquiry.ask(conversation)
            if (fault := _fault(reply)) is not None:
                inquiry.bear(fault)
                continue
            try:
                value = read_structure(schema, reply.text)
                return Structured(value=value, calls=inquiry.calls, tokens=inquiry.tokens)
            except ValueError as error:
                if len(conversation) > len(messages):
                    raise ReplyMalformed(
                        f"{self.name} does not follow the schema: {error}", calls=inquiry.calls, tokens=inquiry.tokens
                    ) from error
                conversation += _repair(reply, schema, str(error))

    def once(self) -> "BoundModel":
        return replace(self, attempts=1)

    async def reward(self, messages: Sequence[Message]) -> Rewards:
        inquiry = _Inquiry(self, 0)
        values = unit_rewards(await inquiry.ask(tuple(messages)), self.api)
        heads = self.heads or (("reward",) if len(values) == 1 else tuple(f"reward_{n}" for n in range(len(values))))
        if len(heads) != len(values):
            raise ReplyMalformed(
                f"{self.name} gives {len(values)} rewards, and the recipe names {len(heads)} heads",
                calls=inquiry.calls,
            )
        return Rewards(values=dict(zip(heads, values, strict=True)), calls=inquiry.calls)


class _Inquiry:
    """The calls for one answer: each is one attempt further than the last."""

    def __init__(
        self,
        model: BoundModel,
        sample: int,
        *,
        tools: tuple[dict[str, Any], ...] = (),
        schema: dict[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._sample = sample
        self._tools = tools
        self._schema = schema
        self._bad = 0
        self._keys: list[str] = []
        self.tokens = 0

    @property
    def calls(self) -> tuple[str, ...]:
        return tuple(self._keys)

    async def ask(self, messages: tuple[Message, ...]) -> Reply:
        model = self._model
        request = CallRequest(
            model=model.name,
            revision=model.revision,
            messages=messages,
            sampling=_NO_SAMPLING if model.gives_rewards else model.sampling,
            tools=self._tools,
            schema=self._schema,
            sample=self._sample,
            attempt=len(self._keys),
            api=model.api,
        )
        try:
            reply = await model.gateway.call(model.endpoint, request, price=model.price, in_batch=model.in_batch)
        except BadReply as error:
            error.calls, error.tokens = self.calls, self.tokens
            raise
        self._keys.append(request.key.hex())
        self.tokens += reply.usage.completion_tokens
        return reply

    def bear(self, fault: type[BadReply]) -> None:
        """Count a bad reply; raises it once the attempts are used up."""
        self._bad += 1
        if self._bad >= self._model.attempts:
            message = f"{self._model.name}: {_SENTENCES[fault]}, in each of {self._bad} attempts"
            raise fault(message, calls=self.calls, tokens=self.tokens)


_SENTENCES: dict[type[BadReply], str] = {
    ReplyCut: "the reply was cut at the length limit",
    ReplyEmpty: "the reply holds neither text nor a tool call",
    ReplyMalformed: "the reply's tool calls cannot be read",
}


def _fault(reply: Reply) -> type[BadReply] | None:
    """Return what makes `reply` unusable before anything is read from it."""
    if reply.finish_reason is FinishReason.LENGTH:
        return ReplyCut
    if reply.finish_reason is FinishReason.TOOL_CALLS and not reply.tool_calls:
        return ReplyMalformed
    if not reply.text.strip() and not reply.tool_calls:
        return ReplyEmpty
    return None


def _repair(reply: Reply, schema: type[BaseModel], problem: str) -> tuple[Message, Message]:
    wish = _REPAIR.format(problem=problem, schema=orjson.dumps(schema_of(schema)).decode())
    return Message(role=Role.ASSISTANT, content=reply.text), Message(role=Role.USER, content=wish)
