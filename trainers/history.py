"""What training remembers of each prompt, and which prompts it takes next.

History resampling (SRPO, arXiv 2504.14286): at the end of a pass over the pool, prompts that have no more to teach are
left out of the next. Under `settled` these are the prompts whose rollouts were all correct and agree on a mode that is
known to be right; under `correct`, SRPO's own rule, those whose rollouts were all correct, which takes away the easy
prompts on which think-off has to be learned. A prompt that was left out comes back with a small probability.

The state follows from the seed and from what was noted, so that all processes hold the same; it is saved with every
checkpoint. Batches that were drawn and not noted, as data loaders draw ahead, wait, and come first after a resume.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kat_data.errors import ConfigError
from trainers.advantages import Constants, Rollouts, count, label
from trainers.segments import NONE, OFF, ON


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """The rule by which prompts are left out; `readmit` is the probability to come back at the end of each pass.

    A mode is settled where a share of `agreement` of the rollouts has chosen it.
    """

    rule: Literal["settled", "correct", "none"] = "settled"
    readmit: float = 0.1
    agreement: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a batch changed: of the prompts that were seen before, how many now have another majority mode."""

    seen_again: int
    flipped: int


class History:
    """The memory of a pool of `prompts` prompts, of which batches of `batch` distinct ones are taken."""

    def __init__(self, prompts: int, batch: int, *, seed: int, resampling: Resampling, constants: Constants) -> None:
        if batch > prompts:
            raise ConfigError(f"{prompts} prompts cannot fill a batch of {batch}: give fewer prompts a batch")
        self._batch, self._seed, self._resampling, self._constants = batch, seed, resampling, constants
        self.counts = torch.zeros(prompts, 2, 2, dtype=torch.double)
        self.finished = torch.zeros(prompts, dtype=torch.bool)
        self.left_out = torch.zeros(prompts, dtype=torch.bool)
        self.passes = 0
        self._majority = torch.full((prompts,), NONE)
        self._rest: list[int] = []
        self._waiting: list[list[int]] = []
        self._used = 0

    def batches(self) -> Iterator[list[int]]:
        """Yield batches of distinct prompts without end, the first of them the first that was not noted."""
        number = self._used
        while True:
            while number - self._used >= len(self._waiting):
                self._waiting.append(self._draw())
            yield self._waiting[number - self._used]
            number += 1

    def note(self, prompts: Tensor, batch: Rollouts) -> Change:
        """Take in the scored rollouts of the batch that is next; `prompts` (P,) are what its groups stand for.

        `batch.history` has to be the prompts' part of `counts`.
        """
        if prompts.tolist() != self._waiting[0]:
            raise ValueError("rollouts of another batch of prompts than the one that is next")
        del self._waiting[0]
        self._used += 1
        self.counts[prompts] = count(batch, self._constants.decay)
        self.finished[prompts] = self._has_no_more_to_teach(self.counts[prompts], batch)
        return self._vote(prompts, batch)

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "counts": self.counts.tolist(),
            "finished": self.finished.tolist(),
            "left_out": self.left_out.tolist(),
            "majority": self._majority.tolist(),
            "passes": self.passes,
            "rest": self._rest,
            "waiting": self._waiting,
            "used": self._used,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; raises `ConfigError` where it is of another pool."""
        if len(state["counts"]) != len(self.counts):
            raise ConfigError(f"the checkpoint knows {len(state['counts'])} prompts, the snapshot {len(self.counts)}")
        self.counts = torch.tensor(state["counts"], dtype=torch.double)
        self.finished, self.left_out = torch.tensor(state["finished"]), torch.tensor(state["left_out"])
        self._majority = torch.tensor(state["majority"])
        self.passes, self._used = state["passes"], state["used"]
        self._rest, self._waiting = list(state["rest"]), list(state["waiting"])

    def _draw(self) -> list[int]:
        if len(self._rest) < self._batch:
            self._rest += self._next_pass()
        drawn, self._rest = self._rest[: self._batch], self._rest[self._batch :]
        return drawn

    def _next_pass(self) -> list[int]:
        """Leave out what is finished, and return the other prompts in a new order.

        Those still to come of the pass before stand behind the batch that they open, which holds no prompt twice;
        where too few are left to fill it, prompts that were left out do.
        """
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.passes)
        self.passes += 1
        if self._resampling.rule != "none":
            self._resample(generator)
        order = torch.randperm(len(self.counts), generator=generator)
        out, still_to_come = self.left_out[order], torch.isin(order, torch.tensor(self._rest, dtype=order.dtype))
        ready = [*order[~out & ~still_to_come].tolist(), *order[out & ~still_to_come].tolist()]
        opening = ready[: self._batch - len(self._rest)]
        return [*opening, *(prompt for prompt in order[~out].tolist() if prompt not in opening)]

    def _resample(self, generator: torch.Generator) -> None:
        back = self.left_out & (torch.rand(len(self.left_out), generator=generator) < self._resampling.readmit)
        self.finished &= ~back
        self.left_out = (self.left_out | self.finished) & ~back

    def _has_no_more_to_teach(self, counts: Tensor, batch: Rollouts) -> Tensor:
        decided = _number(batch, batch.decided)
        all_correct = (decided > 0) & (_number(batch, batch.correct > 0) == decided)
        return all_correct if self._resampling.rule == "correct" else all_correct & self._settled(counts, batch)

    def _settled(self, counts: Tensor, batch: Rollouts) -> Tensor:
        """Whether a prompt's rollouts agree on the right mode (P,).

        Think-off that always succeeds is right whatever think-on might do; think-on has to be known as better.
        """
        constants = self._constants
        right = label(counts, constants.delta, constants.least)
        off = counts[:, OFF]
        enough = (off[:, 1] >= constants.least) & (off[:, 0] >= (1 - constants.delta) * off[:, 1])
        free = batch.decided & ~batch.forced
        needed = self._resampling.agreement * _number(batch, free)
        chose_on = _number(batch, free & (batch.modes == ON)) >= needed
        chose_off = _number(batch, free & (batch.modes == OFF)) >= needed
        return (chose_on & (right == ON)) | (chose_off & (enough | (right == OFF)))

    def _vote(self, prompts: Tensor, batch: Rollouts) -> Change:
        on, off = (_number(batch, ~batch.forced & (batch.modes == mode)) for mode in (ON, OFF))
        before, now = self._majority[prompts], torch.where(on == off, NONE, torch.where(on > off, ON, OFF))
        known = (before != NONE) & (now != NONE)
        self._majority[prompts] = torch.where(now == NONE, before, now)
        return Change(seen_again=int(known.sum()), flipped=int((known & (before != now)).sum()))


def _number(batch: Rollouts, chosen: Tensor) -> Tensor:
    """How many of each prompt's rollouts are chosen (P,)."""
    return torch.zeros(batch.history.shape[0]).index_add_(0, batch.groups, chosen.float())
