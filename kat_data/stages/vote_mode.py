"""Choose a turn's mode by the majority of several models' votes (§4.1.1)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin, Vote
from kat_data.hashing import fraction
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.asking import ask_all, members
from kat_data.stages.parts.replies import VoteReply
from kat_data.stages.stage import Stage, Tools


class VoteMode(Stage):
    """Take the user's directive, else a random mode for a small share of turns, else the majority of the voters.

    Only the last costs calls: a turn that gets its mode otherwise is not voted on.
    """

    name: ClassVar[str] = "vote_mode"
    roles: ClassVar[tuple[str, ...]] = ("voters",)
    prompts: ClassVar[tuple[str, ...]] = ("vote_mode.v1", "vote_step.v1")

    random_share: float = Field(
        0.01, ge=0, le=1, description="The share of turns that get a random mode, regardless of any vote."
    )
    on_tie: Mode = Field(Mode.ON, description="The mode of a turn whose votes are even.")

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and draft.choice is None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        if wish := draft.wish:
            return replace(draft, choice=ModeChoice(mode=wish, origin=ModeOrigin.DIRECTIVE))
        if mode := self._random(draft, tools.seed):
            return replace(draft, choice=ModeChoice(mode=mode, origin=ModeOrigin.RANDOM))
        votes = await self._votes(draft, tools)
        if not votes:
            return Dropped(reason=DropReason.NO_VOTE)
        return replace(draft, votes=votes, choice=self._majority(votes))

    def _random(self, draft: Draft, seed: int) -> Mode | None:
        turn = (draft.query.hash, str(len(draft.turns)))
        if fraction(seed, "vote_mode.share", *turn) >= self.random_share:
            return None
        return Mode.ON if fraction(seed, "vote_mode.mode", *turn) < 0.5 else Mode.OFF

    async def _votes(self, draft: Draft, tools: Tools) -> tuple[Vote, ...]:
        prompt = load_prompt("vote_step.v1" if draft.answers_results else "vote_mode.v1")
        messages = prompt.messages(conversation=draft.transcript)
        opinions = await ask_all(members(tools, "voters"), messages, VoteReply)
        return tuple(
            Vote(model=o.model, mode=Mode(o.value.mode), reason=o.value.reason, call=o.calls[-1]) for o in opinions
        )

    def _majority(self, votes: Sequence[Vote]) -> ModeChoice:
        lead = sum(1 if vote.mode is Mode.ON else -1 for vote in votes)
        mode = self.on_tie if lead == 0 else Mode.ON if lead > 0 else Mode.OFF
        return ModeChoice(mode=mode, origin=ModeOrigin.MAJORITY, margin=abs(lead) / len(votes))
