"""What is done about a gate that has closed on one side: the other mode is sampled from a given judge.

A mode that is never chosen is never measured, so that training could not find back to it. While the share of think-on
has lain at an edge for some batches, a part of every group's rollouts begins with the minority mode's judge, as it
stands in the configuration; those tokens were not chosen and are not learned.
"""

import math
from dataclasses import dataclass
from typing import Any

from kat_data.domain.mode import Mode
from kat_data.domain.sample import Turn
from kat_data.domain.template import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """When the gate counts as closed: think-on outside [`edge`, 1 - `edge`] for `batches` batches.

    Then a `share` of each group's rollouts begins with the analysis `on` or `off` and that mode's tag. With
    `mask_judge` no judge is learned meanwhile, as AdaCoT does in its one-sided stages.
    """

    edge: float = 0.05
    batches: int = 5
    share: float = 0.125
    on: str = "The task needs several steps that depend on each other, so it has to be thought through."
    off: str = "The task is simple and can be answered directly."
    mask_judge: bool = False


class Gate:
    """Watches the share of think-on; without a configuration it never closes."""

    def __init__(self, balance: Balance | None) -> None:
        self._balance = balance
        self.above = self.below = 0

    def note(self, think_on: float) -> None:
        """Take in a batch's share of think-on among the rollouts that chose; NaN where none did."""
        if self._balance is None or math.isnan(think_on):
            return
        self.above = self.above + 1 if think_on > 1 - self._balance.edge else 0
        self.below = self.below + 1 if think_on < self._balance.edge else 0

    @property
    def minority(self) -> Mode | None:
        """The mode that has to be sampled, none while the gate is open."""
        if self._balance is None or max(self.above, self.below) < self._balance.batches:
            return None
        return Mode.OFF if self.above else Mode.ON

    @property
    def masks_judge(self) -> bool:
        """Whether no judge is learned now."""
        return self.minority is not None and self._balance is not None and self._balance.mask_judge

    def prefix(self, tokenizer: Any) -> list[int]:
        """Return the tokens that forced rollouts begin with: the minority mode's judge and its tag."""
        assert self._balance is not None
        assert self.minority is not None
        analysis = {Mode.ON: self._balance.on, Mode.OFF: self._balance.off}[self.minority]
        thinking = "x" if self.minority is Mode.ON else ""
        text = render(Turn(user="x", judge_analysis=analysis, mode=self.minority, thinking=thinking, answer="x"))
        tag = f"<{self.minority}>"
        ids: list[int] = tokenizer(text[: text.index(tag) + len(tag)], add_special_tokens=False)["input_ids"]
        return ids

    def is_forced(self, place: int, group: int) -> bool:
        """Whether the rollout at a place among all processes' is forced now, in groups of `group`."""
        if self._balance is None or self.minority is None:
            return False
        return place % group >= group - max(1, round(self._balance.share * group))
