"""Keep the answer that rewarders like best, over several dimensions (§4.1.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft, Further
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.score import Score, overall
from kat_data.stages.parts.asking import members
from kat_data.stages.parts.assessing import acceptable
from kat_data.stages.parts.rewarding import by_judges, by_reward_models
from kat_data.stages.stage import Stage, Tools


class Dimension(BaseModel):
    """What judges score, what the scores 1 to 5 mean, and how much it counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rubric: str = Field(min_length=1)
    weight: float = Field(1.0, gt=0)


@cache
def _rubrics() -> Mapping[str, str]:
    import yaml

    found: dict[str, str] = yaml.safe_load(files("kat_data.stages").joinpath("rubrics.yaml").read_text("utf-8"))
    return found


def _shipped() -> dict[str, Dimension]:
    return {name: Dimension(rubric=rubric) for name, rubric in _rubrics().items()}


class Prefer(Stage):
    """Score the accepted answers of a turn and keep the best, or as many as the query is to bring samples.

    One alone is scored only where there is a minimum.

    A rewarder that takes chats judges all answers side by side; a reward model scores each by itself. Scores are from
    0, which a judge writes as 1, to 1, which it writes as 5.
    """

    name: ClassVar[str] = "prefer"
    roles: ClassVar[tuple[str, ...]] = ("rewarder",)
    prompts: ClassVar[tuple[str, ...]] = ("prefer.v1",)
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("verify",),)
    precedes: ClassVar[tuple[str, ...]] = ("judge_mode",)

    only: tuple[Category, ...] = (Category.GENERAL, Category.MULTI_TURN)
    dimensions: dict[str, Dimension] = Field(
        default_factory=_shipped,
        min_length=1,
        json_schema_extra={"additionalProperties": {"anyOf": [{"type": "number"}, Dimension.model_json_schema()]}},
        description="What judges score: weights of shipped dimensions, or a rubric and a weight of your own.",
    )
    reward_weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Weights of what reward models score, by head; 1 where not given."
    )
    orders: int = Field(
        2, ge=1, le=2, description="2 shows judges the answers also in reverse, so that no place is favoured."
    )
    minimum: float | None = Field(
        None, ge=0, le=1, description="A turn whose best answer scores less is dropped; null keeps all."
    )

    @field_validator("dimensions", mode="before")
    @classmethod
    def _weights_name_shipped_ones(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: _dimension(name, value) for name, value in given.items()}

    @field_validator("dimensions")
    @classmethod
    def _names_are_field_names(cls, dimensions: dict[str, Dimension]) -> dict[str, Dimension]:
        for name in dimensions:
            if not name.isidentifier() or name == "reason" or name.startswith("_"):
                raise ValueError(f"{name!r} cannot be the name of a dimension: use letters, digits and _")
        return dimensions

    @property
    def weights(self) -> dict[str, float]:
        """How much each dimension counts: what judges score, and what reward models do."""
        return {name: dimension.weight for name, dimension in self.dimensions.items()} | self.reward_weights

    def applies(self, draft: Draft) -> bool:
        accepted = draft.accepted is not None and draft.judge_analysis is None and not draft.scores
        return (
            super().applies(draft) and accepted and (self.minimum is not None or len(acceptable(draft.candidates)) > 1)
        )

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        candidates = acceptable(draft.candidates)
        scores = await self._scores(draft, candidates, tools)
        if not scores:
            return Dropped(reason=DropReason.NO_SCORE)
        draft = replace(draft, scores=scores)
        totals = overall(scores, self.weights)
        ranked = sorted(candidates, key=lambda candidate: -totals[candidate.position])  # of equals the first
        best = ranked[0]
        if self.minimum is not None and (found := totals[best.position]) < self.minimum:
            detail = f"the best scores {found:.2f}, the recipe asks for {self.minimum:g}"
            return Dropped(reason=DropReason.LOW_SCORE, detail=detail, draft=draft)
        good = [c for c in ranked if self.minimum is None or totals[c.position] >= self.minimum]
        others = sorted(candidate.position for candidate in good[1 : draft.wanted])
        further = tuple(Further(position=position) for position in others)
        return replace(draft, accepted=best.position, further=further)

    async def _scores(self, draft: Draft, candidates: Sequence[Candidate], tools: Tools) -> tuple[Score, ...]:
        rewarders = members(tools, "rewarder")
        judges = [model for model in rewarders if not model.gives_rewards]
        reward_models = [model for model in rewarders if model.gives_rewards]
        rubrics = {name: dimension.rubric for name, dimension in self.dimensions.items()}
        judged = await by_judges(judges, draft.transcript, candidates, rubrics, orders=self.orders)
        return judged + await by_reward_models(reward_models, draft.transcript, candidates)


def _dimension(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if name not in _rubrics():
        raise ValueError(f"{name!r} is none of {', '.join(_rubrics())}: give it a rubric and a weight")
    return {"rubric": _rubrics()[name], "weight": value}
