"""The plan of a run: which stage comes next for a draft, and when a turn or the whole draft is done."""

from collections.abc import Collection, Sequence

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.history import has_results
from kat_data.stages.select import Select
from kat_data.stages.stage import Kind, Stage

OUTSIDE = ""
"""The stratum of a sample that lies in none of the mixture's."""


class Plan:
    """A recipe's stages in order; those that are `per_turn` run again for every assistant turn."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self._index = {stage.name: index for index, stage in enumerate(self.stages)}
        self._first_per_turn = next((i for i, stage in enumerate(self.stages) if stage.per_turn), len(self.stages))

    @property
    def first(self) -> str:
        """The name of the stage at which every item starts."""
        return self.stages[0].name

    @property
    def turn_start(self) -> str:
        """The name of the stage at which every further turn starts."""
        return self.stages[self._first_per_turn].name

    @property
    def select(self) -> Select | None:
        """The stage that fills a mixture, if the recipe has one."""
        return next((stage for stage in self.stages if isinstance(stage, Select)), None)

    def of_kinds(self, kinds: Collection[Kind]) -> tuple[str, ...]:
        """Return the names of the stages of these kinds, the last first: what is begun is brought to an end."""
        return tuple(stage.name for stage in reversed(self.stages) if stage.kind in kinds)

    def behind(self, name: str) -> list[str]:
        """Return the names of the stages that stand behind `name` in the recipe, in order."""
        return [stage.name for stage in self.stages[self._index[name] + 1 :]]

    def stratum(self, draft: Draft) -> str | None:
        """Return the stratum for which the draft counts: empty where it is outside, none where there is no mixture."""
        if self.select is None:
            return None
        found = self.select.mixture.stratum(draft.labels)
        return str(found) if found else OUTSIDE

    def prepare(self, draft: Draft, seed: int) -> Draft:
        """Return the draft with what the stages add to its query."""
        for stage in self.stages:
            draft = stage.prepare(draft, seed)
        return draft

    def refuse(self, draft: Draft) -> Dropped | None:
        """Refuse a draft that these stages can never finish, before anything is paid for it."""
        serving = [stage for stage in self.stages if stage.serves(draft.query.category)]
        if has_results(draft.query.messages) and not any(stage.observes for stage in serving):
            return Dropped(reason=DropReason.UNSUPPORTED_HISTORY)
        return next((dropped for stage in serving if (dropped := stage.refuse(draft))), None)

    def at(self, name: str, draft: Draft) -> Stage | None:
        """Return the first stage from `name` on that applies to the draft, or none when its turn has run through."""
        return self._from(self._index[name], draft)

    def after(self, name: str, draft: Draft) -> Stage | None:
        """Return the first stage behind `name` that applies to the draft, or none when its turn has run through."""
        return self._from(self._index[name] + 1, draft)

    def _from(self, index: int, draft: Draft) -> Stage | None:
        return next((stage for stage in self.stages[index:] if stage.applies(draft)), None)
