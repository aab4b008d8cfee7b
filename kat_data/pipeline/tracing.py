"""Models that note every call made through them, so that lineage holds also the calls whose replies were bad."""

from collections.abc import Iterable, Sequence
from typing import Any

from kat_data.domain.call import Sampling
from kat_data.domain.query import Message
from kat_data.errors import BadReply
from kat_data.llm.model import Answer, Model, Rewards, Structure, Structured


class TracedModel:
    """A model whose ledger keys go into `trace` as they are made; satisfies `Model`."""

    def __init__(self, model: Model, trace: list[str]) -> None:
        self._model = model
        self._trace = trace

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def revision(self) -> str:
        return self._model.revision

    @property
    def sampling(self) -> Sampling:
        return self._model.sampling

    @property
    def native_tools(self) -> bool:
        return self._model.native_tools

    @property
    def native_reasoning(self) -> bool:
        return self._model.native_reasoning

    @property
    def gives_rewards(self) -> bool:
        return self._model.gives_rewards

    async def chat(
        self, messages: Sequence[Message], *, sample: int = 0, tools: tuple[dict[str, Any], ...] = ()
    ) -> Answer:
        try:
            answer = await self._model.chat(messages, sample=sample, tools=tools)
        except BadReply as error:
            self._note(error.calls)
            raise
        self._note(answer.calls)
        return answer

    async def ask(
        self, messages: Sequence[Message], schema: type[Structure], *, sample: int = 0
    ) -> Structured[Structure]:
        try:
            structured = await self._model.ask(messages, schema, sample=sample)
        except BadReply as error:
            self._note(error.calls)
            raise
        self._note(structured.calls)
        return structured

    def once(self) -> "TracedModel":
        return TracedModel(self._model.once(), self._trace)

    async def reward(self, messages: Sequence[Message]) -> Rewards:
        try:
            rewards = await self._model.reward(messages)
        except BadReply as error:
            self._note(error.calls)
            raise
        self._note(rewards.calls)
        return rewards

    def _note(self, calls: Iterable[str]) -> None:
        self._trace.extend(call for call in calls if call not in self._trace)
