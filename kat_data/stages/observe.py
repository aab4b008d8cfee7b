"""Find out what the tool calls of an accepted answer give, so that the next turn can answer it (§4.1.2, §6.3)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.history import has_results, history_flaw, is_recorded
from kat_data.domain.template import unholdable
from kat_data.domain.text import normalise
from kat_data.stages.environments.environment import Environment
from kat_data.stages.environments.record import Record
from kat_data.stages.stage import Stage, Tools


class Observe(Stage):
    """Give an accepted answer's calls their results; the next turn answers them, with a mode of its own.

    A recorded conversation is walked along its own steps: each is answered anew, must make the recorded calls, and gets
    the recorded results.
    """

    name: ClassVar[str] = "observe"
    observes: ClassVar[bool] = True
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("verify",),)

    def refuse(self, draft: Draft) -> Dropped | None:
        messages = draft.query.messages
        if not has_results(messages):
            return None
        if (why := history_flaw(messages)) and not self.emulates(draft):
            return Dropped(reason=DropReason.MALFORMED_HISTORY, detail=why)
        known = {tool.get("function", tool).get("name") for tool in draft.tools}
        called = {call.name for message in messages for call in message.tool_calls}
        if unknown := sorted(called - known):
            return Dropped(reason=DropReason.HISTORY_WITHOUT_TOOLS, detail=f"no tool is named {unknown[0]}")
        return None

    def emulates(self, draft: Draft) -> bool:
        """Whether a model would make up results for the draft."""
        return False

    def applies(self, draft: Draft) -> bool:
        candidate = draft.accepted_candidate
        calls = candidate is not None and bool(candidate.tool_calls)
        return super().applies(draft) and calls and draft.results is None and self._environment(draft) is not None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        environment = self._environment(draft)
        if environment is None:
            raise ValueError("observe runs where it applies")
        observed = await environment.observe(draft, tools)
        if isinstance(observed, Dropped):
            return observed
        results = tuple(normalise(result) for result in observed)
        if why := next(filter(None, map(unholdable, results)), None):
            return Dropped(reason=DropReason.NOT_RENDERABLE, detail=f"a tool's result {why}")
        return replace(draft, results=results)

    def _environment(self, draft: Draft) -> Environment | None:
        return next((environment for environment in self._environments(draft) if environment.knows(draft)), None)

    def _environments(self, draft: Draft) -> Iterator[Environment]:
        if is_recorded(draft.query.messages):
            yield Record()
