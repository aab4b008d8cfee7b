"""Step-SRPO's advantages (§4.2.1) as pure functions of tensors.

The report fixes two rewards, one for the decision to think and one for the answer, the second modulated by the first.
Their form here, Step-SRPO/1, follows the companion paper HiPO (arXiv 2509.23967) where that is known; docs/training.md
says what is whose. Every function sees the rollouts of all processes, so that all of them find the same values.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from trainers.segments import NONE, OFF, ON, Segments

EPSILON: Final = 1e-4
"""Added to standard deviations, as TRL does."""

UNKNOWN: Final = -1
"""The label of a prompt of which one mode has too few samples."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rollouts:
    """N scored completions of P prompts.

    `accuracy` (N,) is 1, 0, or NaN where no verifier decided; `well_formed` (N,) is 1 or 0; `modes` (N,) are codes of
    `segments`; `groups` (N,) say which prompt each answers, from 0 to P - 1; `forced` (N,) marks those whose judge was
    given and not generated. `history` (P, 2, 2) holds, by prompt and mode, how many earlier samples were correct and
    how many there were. `reference` (N,) is the prompt's accuracy as measured before training, NaN where it is not.
    """

    accuracy: Tensor
    well_formed: Tensor
    modes: Tensor
    groups: Tensor
    forced: Tensor
    history: Tensor
    reference: Tensor

    @property
    def decided(self) -> Tensor:
        """Which rollouts carry a signal (N,)."""
        return ~self.accuracy.isnan()

    @property
    def correct(self) -> Tensor:
        """The accuracy with 0 where nobody decided (N,); such a rollout takes part in nothing."""
        return self.accuracy.nan_to_num(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """The constants of Step-SRPO/1.

    A mode is unknown below `least` samples; think-off is right unless think-on's pass rate is more than `delta` above;
    earlier samples count `decay` times. A correct answer in the wrong mode earns `modulation`; good form adds
    `format_weight` to both rewards, and is the condition of the judge's own where `format_gates_judge`. `gamma` is the
    answer's share in the judge's advantage; `judge_weight` weighs the judge's loss against the rest's.
    """

    delta: float = 0.05
    decay: float = 0.5
    least: float = 1.0
    modulation: float = 0.5
    gamma: float = 0.3
    format_weight: float = 0.2
    format_gates_judge: bool = False
    judge_weight: float = 1.0
    drop_negative_judge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Advantages:
    """One advantage for each part of each rollout (N,): the judge's text, the mode tag at its end, and the rest."""

    judge: Tensor
    tag: Tensor
    rest: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lengths:
    """How many tokens of each part each rollout generated (N,), `judge` without the tag; `given` are those it got."""

    judge: Tensor
    tag: Tensor
    rest: Tensor
    given: Tensor

    @property
    def all(self) -> Tensor:
        """How long each rollout is (N,)."""
        return self.judge + self.tag + self.rest + self.given


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rewards:
    """The two rewards of each rollout (N,), form included."""

    judge: Tensor
    answer: Tensor


def count(batch: Rollouts, decay: float) -> Tensor:
    """Return the history with this batch's decided samples added, earlier ones weighed by `decay` (P, 2, 2)."""
    prompts = batch.history.shape[0]
    counted = batch.decided & (batch.modes != NONE)
    cells = (batch.groups * 2 + batch.modes.clamp(min=0))[counted]
    new = torch.zeros(prompts * 2, 2, dtype=batch.history.dtype, device=batch.history.device)
    samples = torch.stack([batch.correct[counted], torch.ones_like(batch.correct[counted])], dim=1)
    new.index_add_(0, cells, samples.to(new.dtype))
    return decay * batch.history + new.view(prompts, 2, 2)


def label(counts: Tensor, delta: float, least: float = 1.0) -> Tensor:
    """Return the mode that each prompt needs (P,): OFF unless ON is better by more than `delta`, or UNKNOWN."""
    correct, samples = counts[..., 0], counts[..., 1]
    rate = correct / samples.clamp(min=torch.finfo(counts.dtype).tiny)
    off_is_enough = rate[:, OFF] >= rate[:, ON] - delta - 1e-9
    known = (samples >= least).all(dim=1)
    return torch.where(known, torch.where(off_is_enough, OFF, ON), UNKNOWN)


def rewards(batch: Rollouts, labels: Tensor, constants: Constants) -> Rewards:
    """Return the judge's and the answer's reward; a wrong answer earns nothing by a right gate."""
    wanted = labels[batch.groups]
    has_mode = batch.modes != NONE
    right, unknown = has_mode & (batch.modes == wanted), has_mode & (wanted == UNKNOWN)
    judge = right + 0.5 * unknown
    if constants.format_gates_judge:
        judge = judge * batch.well_formed
    worth = torch.where(right | unknown, 1.0, constants.modulation) * has_mode
    form = constants.format_weight * batch.well_formed
    return Rewards(judge=judge + form, answer=batch.correct * worth + form)


def step_srpo(batch: Rollouts, constants: Constants) -> Advantages:
    """Return the advantages of Step-SRPO/1, each part of a rollout's own; zero where no verifier decided."""
    labels = label(count(batch, constants.decay), constants.delta, constants.least)
    earned = rewards(batch, labels, constants)
    free = batch.decided & ~batch.forced
    judge = standardise(earned.judge, batch.groups, free)
    judge = judge + constants.gamma * standardise(earned.answer, batch.groups, free)
    if constants.drop_negative_judge:
        judge = torch.where(batch.well_formed.bool(), judge.clamp(min=0.0), judge)
    rest = standardise(earned.answer, same_mode(batch), batch.decided & (batch.modes != NONE))
    return Advantages(judge=judge, tag=judge, rest=rest)


def same_mode(batch: Rollouts) -> Tensor:
    """Return a number (N,) that rollouts of one prompt and one mode share."""
    return batch.groups * 3 + batch.modes + 1


def standardise(values: Tensor, cells: Tensor, taking_part: Tensor) -> Tensor:
    """Return how many standard deviations each value lies above its cell's mean, over those that take part (N,).

    Exactly zero for whoever does not take part, for a cell's only member and where all of a cell are equal. The
    deviation is a sample's, with Bessel's correction, as in TRL.
    """
    centred = centre(values, cells, taking_part)
    size = int(cells.max()) + 1 if len(cells) else 0
    number = _sums(taking_part.to(centred.dtype), cells, size)
    deviation = (_sums(centred.square(), cells, size) / (number - 1).clamp(min=1)).sqrt()
    return centred / (deviation[cells] + EPSILON)


def centre(values: Tensor, cells: Tensor, taking_part: Tensor) -> Tensor:
    """Return how far each value lies above its cell's mean (N,); exactly zero where all of a cell are equal."""
    values = values.double()
    size = int(cells.max()) + 1 if len(cells) else 0
    number = _sums(taking_part.to(values.dtype), cells, size)
    mean = _sums(values * taking_part, cells, size) / number.clamp(min=1)
    infinite = torch.full((size,), torch.inf, dtype=values.dtype, device=values.device)
    highest = (-infinite).scatter_reduce(0, cells, values.masked_fill(~taking_part, -torch.inf), "amax")
    lowest = infinite.scatter_reduce(0, cells, values.masked_fill(~taking_part, torch.inf), "amin")
    differs = (highest > lowest)[cells] & taking_part
    return torch.where(differs, values - mean[cells], 0.0)


def weigh_tokens(given: Advantages, lengths: Lengths, batch: Rollouts, weight: float) -> Advantages:
    """Leave all as it is: every token of the batch weighs the same, and a long trace more than a decision."""
    return given


def weigh_segments(given: Advantages, lengths: Lengths, batch: Rollouts, weight: float) -> Advantages:
    """Scale so that a loss over all tokens is `weight` times the judges' mean plus the mean of the rest."""
    free, decided = batch.decided & ~batch.forced, batch.decided
    total = lengths.all.sum()
    judge = weight * total / (lengths.judge + lengths.tag)[free].sum().clamp(min=1)
    rest = total / lengths.rest[decided].sum().clamp(min=1)
    return Advantages(judge=given.judge * judge, tag=given.tag * judge, rest=given.rest * rest)


def weigh_control(given: Advantages, lengths: Lengths, batch: Rollouts, weight: float) -> Advantages:
    """Scale so that a loss over all tokens is a mean over rollouts: `weight` times the tag's mean plus the others'."""
    total = lengths.all.sum() / max(1, len(given.judge))
    tag = weight * total / lengths.tag.clamp(min=1)
    others = total / (lengths.judge + lengths.rest).clamp(min=1)
    return Advantages(judge=given.judge * others, tag=given.tag * tag, rest=given.rest * others)


def spread(given: Advantages, segments: Segments, generated: Tensor) -> Tensor:
    """Return advantages of tokens (B, T): each part's own on its tokens, zero on padding and on what was given.

    `given` are the advantages of the batch's own rows; `generated` (B, T) is false on tokens of a given prefix.
    """
    text = segments.judge & ~segments.tag
    parts = ((given.judge, text), (given.tag, segments.tag), (given.rest, segments.rest))
    by_token = torch.stack([value[:, None] * mask for value, mask in parts]).sum(dim=0)
    return by_token * generated


def without_judge(given: Advantages) -> Advantages:
    """Return the advantages with the judge left out, as AdaCoT does while one mode has all the rollouts."""
    return replace(given, judge=torch.zeros_like(given.judge), tag=torch.zeros_like(given.tag))


def part(given: Advantages, chosen: slice, device: Any = "cpu") -> Advantages:
    """Return the advantages of some of the rollouts, as 32-bit numbers on a device."""
    judge, tag, rest = (value[chosen].float().to(device) for value in (given.judge, given.tag, given.rest))
    return Advantages(judge=judge, tag=tag, rest=rest)


def _sums(values: Tensor, cells: Tensor, size: int) -> Tensor:
    return torch.zeros(size, dtype=values.dtype, device=values.device).index_add_(0, cells, values)
