"""Stratified selection (§4.1.2): let queries on until every stratum of the mixture has its samples."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field, model_validator

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.held import Held
from kat_data.domain.mixture import STAGE, Mixture, mixture
from kat_data.domain.stratum import WHOLE, Labels, first_that_holds, parse_stratum
from kat_data.stages.stage import Kind, Stage, Tools


class Select(Stage):
    """Hold every query here; the run lets on as many of each stratum as it still needs samples, by the seed's order.

    The mixture is either `samples` in `shares`, or `counts`. A query counts for the first stratum that holds it; where
    only its answers will tell which that is, it waits in a pool of several. With `responses`, a query brings several
    samples, so that hard ones weigh more.
    """

    name: ClassVar[str] = STAGE
    kind: ClassVar[Kind] = Kind.CPU
    per_turn: ClassVar[bool] = False

    samples: int | None = Field(None, ge=1, description="How many samples the run is to bring in all.")
    shares: dict[str, float] = Field({}, description="The share of each stratum in them; they add up to 1.")
    counts: dict[str, int] = Field({}, description="How many samples of each stratum, in place of shares.")
    responses: dict[str, int] = Field({}, description="How many samples one query of a stratum brings, where not 1.")

    patience: int | None = Field(
        None, ge=1, description="Give a stratum up once fewer than one in so many queries becomes a sample of it."
    )

    @model_validator(mode="before")
    @classmethod
    def _in_one_spelling(cls, plain: Any) -> Any:
        """Write every stratum as `str` does, so that the same mixture is the same run."""
        if not isinstance(plain, Mapping):
            return plain
        spelled = dict(plain)
        for key in ("shares", "counts", "responses"):
            if isinstance(spelled.get(key), Mapping):
                spelled[key] = {str(parse_stratum(str(name))): value for name, value in spelled[key].items()}
        return spelled

    @model_validator(mode="after")
    def _is_a_mixture(self) -> "Select":
        if bool(self.shares) == bool(self.counts):
            raise ValueError("give the mixture either as `samples` and `shares`, or as `counts`")
        if self.shares and self.samples is None:
            raise ValueError("shares need `samples`: how many there are to be in all")
        if self.counts and self.samples is not None:
            raise ValueError("`samples` goes with `shares`: counts say by themselves how many there are")
        if self.shares and abs(sum(self.shares.values()) - 1) > WHOLE:
            raise ValueError(f"the shares add up to {sum(self.shares.values()):g}, and not to 1")
        if low := next((name for name, value in (self.shares | self.counts).items() if value < 0), None):
            raise ValueError(f"`{low}`: a share or count is not negative")
        if low := next((name for name, value in self.responses.items() if value < 1), None):
            raise ValueError(f"`{low}`: a query brings one response at least")
        return self

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and not draft.turns

    @property
    def dimensions(self) -> frozenset[str]:
        """The labels that earlier stages have to give."""
        strata = [*self.mixture.pools, *map(parse_stratum, self.responses)]
        return frozenset().union(*(stratum.dimensions for stratum in strata))

    @cached_property
    def mixture(self) -> Mixture:
        """The strata and how many samples each is to have."""
        return mixture(counts=self.counts, shares=self.shares, samples=self.samples, patience=self.patience)

    async def run(self, draft: Draft, tools: Tools) -> Held | Dropped:
        if "pass_rate" in self.dimensions and draft.query.verifier is None:
            return Dropped(reason=DropReason.NO_VERIFIER)  # nothing could measure it
        pool = self.mixture.pool(draft.labels, may_switch=draft.may_switch)
        if pool is None:
            return Dropped(reason=DropReason.OUTSIDE_MIXTURE, detail=_said(draft.labels))
        plenty = first_that_holds([parse_stratum(name) for name in self.responses], draft.labels)
        return Held(pool=str(pool), responses=self.responses[str(plenty)] if plenty else 1)


def _said(labels: Labels) -> str:
    known = {name: getattr(labels, name) for name in ("category", "mode", "domain", "difficulty", "pass_rate")}
    return " ".join(f"{name}={value}" for name, value in known.items() if value is not None)
