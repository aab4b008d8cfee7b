"""Find out what the tool calls of an accepted answer give, so that the next turn can answer it (§4.1.2, §6.3)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from typing import ClassVar

from pydantic import Field

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.history import has_results, history_flaw, is_recorded
from kat_data.domain.query import VerifierKind
from kat_data.domain.template import unholdable
from kat_data.domain.text import normalise
from kat_data.domain.verdict import Outcome
from kat_data.stages.environments.emulation import Emulation
from kat_data.stages.environments.environment import Environment
from kat_data.stages.environments.record import Record
from kat_data.stages.environments.workspace import Workspace
from kat_data.stages.parts.asking import members
from kat_data.stages.parts.assessing import WHOLE, by_panel, judged
from kat_data.stages.stage import Stage, Tools


class Observe(Stage):
    """Give an accepted answer's calls their results; the next turn answers them, with a mode of its own.

    A recorded conversation is walked along its own steps: each is answered anew, must make the recorded calls, and gets
    the recorded results. A workspace does what it is told. With `emulate`, a model gives the results of all other
    tools, and the panel judges the whole conversation in the end.
    """

    name: ClassVar[str] = "observe"
    verifiers: ClassVar[tuple[VerifierKind, ...]] = (VerifierKind.CODE,)
    observes: ClassVar[bool] = True
    prompts: ClassVar[tuple[str, ...]] = ("emulate.v1", "panel_whole.v1")
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("verify",),)

    emulate: bool = Field(False, description="Let the role environment make up results where nothing else has them.")
    steps: int = Field(12, ge=1, description="The most steps with calls that may lead to one answer.")
    agreement: float = Field(
        0.5, ge=0.5, lt=1, description="The panel passes a conversation where more than this share of it agrees."
    )

    def needed_roles(self) -> tuple[str, ...]:
        return ("environment", "panel") if self.emulate else ()

    def prepare(self, draft: Draft, seed: int) -> Draft:
        return replace(draft, observed=self.serves(draft.query.category) and any(self._environments(draft)))

    def refuse(self, draft: Draft) -> Dropped | None:
        messages = draft.query.messages
        if not has_results(messages):
            return None
        if not draft.tools:
            return Dropped(reason=DropReason.HISTORY_WITHOUT_TOOLS, detail="import it with --tools FILE")
        if (why := history_flaw(messages)) and not self.emulates(draft):
            return Dropped(reason=DropReason.MALFORMED_HISTORY, detail=why)
        known = {tool.get("function", tool).get("name") for tool in draft.tools}
        called = {call.name for message in messages for call in message.tool_calls}
        if unknown := sorted(called - known):
            return Dropped(reason=DropReason.HISTORY_WITHOUT_TOOLS, detail=f"no tool is named {unknown[0]}")
        return None

    def emulates(self, draft: Draft) -> bool:
        """Whether a model makes up results for the draft."""
        return self.emulate and Emulation().knows(draft) and not draft.equipment

    def applies(self, draft: Draft) -> bool:
        if not super().applies(draft) or draft.accepted_candidate is None or draft.results is not None:
            return False
        if draft.accepted_candidate.tool_calls:
            return self._environment(draft) is not None
        return self._is_to_be_judged(draft)

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        if self._is_to_be_judged(draft):
            return await self._judge(draft, tools)
        environment = self._environment(draft)
        if environment is None:
            raise ValueError("observe runs where it applies")
        if _steps(draft) >= self.steps:
            return Dropped(reason=DropReason.STEP_LIMIT, detail=f"{self.steps} steps")
        observed = await environment.observe(draft, tools)
        if isinstance(observed, Dropped):
            return observed
        results = tuple(normalise(result) for result in observed)
        if why := next(filter(None, map(unholdable, results)), None):
            return Dropped(reason=DropReason.NOT_RENDERABLE, detail=f"a tool's result {why}")
        return replace(draft, results=results)

    def _is_to_be_judged(self, draft: Draft) -> bool:
        """Whether the answer ends a conversation with emulated results that the panel has not judged as a whole yet."""
        candidate = draft.accepted_candidate
        if candidate is None or candidate.tool_calls or not draft.is_last_turn or not self.emulates(draft):
            return False
        judged_before = any(verdict.verifier == WHOLE for verdict in candidate.verdicts)
        return any(turn.results for turn in draft.turns) and not judged_before

    async def _judge(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        accepted = draft.accepted_candidate
        assert accepted is not None
        verdict = await by_panel(
            draft.transcript,
            accepted.answer,
            members(tools, "panel"),
            agreement=self.agreement,
            prompt="panel_whole.v1",
            verifier=WHOLE,
        )
        known = [judged(c, verdict) if c.position == draft.accepted else c for c in draft.candidates]
        draft = replace(draft, candidates=tuple(known))
        if verdict.outcome is Outcome.CORRECT:
            return draft
        return Dropped(reason=DropReason.TRAJECTORY_REJECTED, draft=draft)

    def _environment(self, draft: Draft) -> Environment | None:
        return next((environment for environment in self._environments(draft) if environment.knows(draft)), None)

    def _environments(self, draft: Draft) -> Iterator[Environment]:
        if is_recorded(draft.query.messages):
            yield Record()
        elif draft.equipment:
            yield Workspace()
        elif self.emulates(draft):
            yield Emulation()


def _steps(draft: Draft) -> int:
    """How many turns with calls stand since the user spoke."""
    return len([*takewhile(lambda turn: turn.results, reversed(draft.turns))])
