"""Measure difficulty with a policy (§4.2.3): how often one revision of it answers a query right."""

from dataclasses import replace
from typing import ClassVar

from pydantic import Field, field_validator

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.pass_rate import PassRate, Rollout, RolloutMode
from kat_data.domain.query import ReferenceOrigin, VerifierKind
from kat_data.domain.verdict import Outcome, Status
from kat_data.errors import RecipeError, ReplyCut
from kat_data.llm.model import Model
from kat_data.stages.parts.answering import PROMPTS
from kat_data.stages.parts.asking import all_settled, members
from kat_data.stages.parts.assessing import why_unverified
from kat_data.stages.parts.rollout import at_last_turn, roll_out
from kat_data.stages.stage import Stage, Tools


class MeasurePassRate(Stage):
    """Draw `k` rollouts of the policy, verify each, and keep queries whose pass rate lies in a range.

    The rate is the share of correct rollouts in the decided ones. The rollouts are the ledger's by their index: a
    larger `k` for the same revision and sampling only pays for the new ones. A query without a verifier passes by.
    """

    name: ClassVar[str] = "pass_rate"
    verifiers: ClassVar[tuple[VerifierKind, ...]] = tuple(VerifierKind)
    roles: ClassVar[tuple[str, ...]] = ("policy",)
    prompts: ClassVar[tuple[str, ...]] = PROMPTS
    per_turn: ClassVar[bool] = False

    k: int = Field(8, ge=1, description="How many rollouts are drawn for a query.")
    mode: RolloutMode = Field(
        RolloutMode.AUTO, description="think_on or think_off by the template's trigger; auto leaves it to the policy."
    )
    prompted: bool = Field(
        False, description="Ask with the prompts of sample_on and sample_off: for a policy that knows no template."
    )
    keep: tuple[float, float] | None = Field(
        None, description="The least and the greatest pass rate that is kept, e.g. [0.05, 0.95]; null keeps all."
    )
    stop_early: int | None = Field(
        None, ge=2, description="Stop after so many decided rollouts if all are correct or all are incorrect."
    )
    decided: float = Field(0.5, ge=0, le=1, description="The least share of rollouts that has to be decided.")
    concurrent: int = Field(8, ge=1, description="How many rollouts are drawn side by side.")

    @field_validator("keep")
    @classmethod
    def _is_a_range(cls, keep: tuple[float, float] | None) -> tuple[float, float] | None:
        if keep is not None and not 0 <= keep[0] <= keep[1] <= 1:
            raise ValueError(f"give two shares between 0 and 1, the lesser first, and not {list(keep)}")
        return keep

    def applies(self, draft: Draft) -> bool:
        measurable = draft.pass_rate is None and draft.query.verifier is not None
        return super().applies(draft) and measurable and at_last_turn(draft) is not None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        policy = _policy(tools)
        rollouts: tuple[Rollout, ...] = ()
        while batch := self._next(rollouts):
            rollouts += await all_settled(self._roll(draft, policy, tools, position) for position in batch)
        rate = PassRate(
            policy=policy.name,
            revision=policy.revision,
            mode=self.mode,
            prompted=self.prompted,
            temperature=policy.sampling.temperature,
            top_p=policy.sampling.top_p,
            max_tokens=policy.sampling.max_tokens,
            soft=draft.query.reference_origin is ReferenceOrigin.SOFT,
            rollouts=rollouts,
        )
        measured = replace(draft, pass_rate=rate)
        reason = self._refusal(measured, rate)
        return Dropped(reason=reason, detail=_counts(rate), draft=measured) if reason else measured

    async def _roll(self, draft: Draft, policy: Model, tools: Tools, position: int) -> Rollout:
        last = at_last_turn(draft)
        assert last is not None
        return await roll_out(last, policy, tools.verify, mode=self.mode, prompted=self.prompted, position=position)

    def _next(self, done: tuple[Rollout, ...]) -> range:
        """The indexes of the rollouts to draw next; none where the rate is settled."""
        decided = [rollout.outcome for rollout in done if rollout.outcome is not Outcome.UNDECIDED]
        size = self.concurrent
        if self.stop_early is not None and len(set(decided)) < 2:
            size = min(size, self.stop_early - len(decided))
        in_vain = any(rollout.status == Status.NOT_VERIFIED for rollout in done)
        return range(len(done), len(done) if in_vain else min(len(done) + max(size, 0), self.k))

    def _refusal(self, draft: Draft, rate: PassRate) -> DropReason | None:
        share = rate.rate
        if share is None or rate.k - rate.undecided < self.decided * rate.k:
            return _why_undecided(draft, rate)
        if self.keep is None:
            return None
        low, high = self.keep
        return DropReason.TOO_HARD if share < low else DropReason.TOO_EASY if share > high else None


def _policy(tools: Tools) -> Model:
    policy, *others = members(tools, "policy")
    if others:
        raise RecipeError("the role `policy` holds one model: measure another checkpoint in a run of its own")
    if not policy.revision:
        raise RecipeError(
            f"the policy {policy.name} has no revision: give its checkpoint's hash, or pass rates would go stale"
        )
    return policy


def _why_undecided(draft: Draft, rate: PassRate) -> DropReason:
    statuses = {rollout.status for rollout in rate.rollouts}
    if statuses == {ReplyCut.code}:
        return DropReason.REPLY_CUT
    unverified = [rollout.evidence for rollout in rate.rollouts if rollout.status == Status.NOT_VERIFIED]
    return why_unverified(draft.query, unverified) or DropReason.UNMEASURED


def _counts(rate: PassRate) -> str:
    low, high = rate.interval
    said = f"{rate.correct} of {rate.k} correct, {rate.undecided} undecided"
    return f"{said}; rate {rate.rate:.2f} ({low:.2f} to {high:.2f})" if rate.rate is not None else said
