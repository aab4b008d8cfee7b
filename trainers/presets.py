"""Step-SRPO and the algorithms that it is compared with, all behind one call.

`grpo` gives every token the standardised sum of accuracy and form, and no thought to modes. `hipo` (arXiv 2509.23967),
`degrpo` (Thinkless, arXiv 2505.13379) and `adaptthink` (arXiv 2505.13417) are their papers' advantages on our template:
what those do to sampling, as AdaptThink's first token that is drawn by a coin, is not among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from trainers.advantages import (
    Advantages,
    Constants,
    Lengths,
    Rollouts,
    centre,
    same_mode,
    standardise,
    step_srpo,
    weigh_control,
    weigh_segments,
    weigh_tokens,
)
from trainers.segments import NONE, OFF, ON

Name = Literal["step_srpo", "grpo", "hipo", "degrpo", "adaptthink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """Which algorithm, and its constants.

    `bias` is HiPO's ω: think-off counts as better by that share of think-on's reward where it is no further behind.
    `price` is what thinking costs a correct answer in Thinkless, `control_weight` its α for the mode tag.
    `bonus` is AdaptThink's δ for not thinking.
    """

    preset: Name = "step_srpo"
    constants: Constants = field(default_factory=Constants)
    bias: float = 0.01
    price: float = 0.5
    control_weight: float = 0.001
    bonus: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One algorithm: what the parts of rollouts earn, how the parts weigh, and the weight."""

    advantages: Callable[[Rollouts, Algorithm], Advantages]
    weigh: Callable[[Advantages, Lengths, Rollouts, float], Advantages] = weigh_tokens
    weight: Callable[[Algorithm], float] = lambda _: 1.0


def advantages(batch: Rollouts, lengths: Lengths, algorithm: Algorithm) -> Advantages:
    """Return what each part of each rollout earns, weighed for a loss that is a mean over all tokens."""
    preset = PRESETS[algorithm.preset]
    return preset.weigh(preset.advantages(batch, algorithm), lengths, batch, preset.weight(algorithm))


def grpo(batch: Rollouts, algorithm: Algorithm) -> Advantages:
    """Return TRL's own advantages of the reward accuracy + form, without the undecided."""
    return _whole(standardise(_reward(batch, algorithm), batch.groups, batch.decided))


def hipo(batch: Rollouts, algorithm: Algorithm) -> Advantages:
    """Return HiPO's: the judge earns by how its mode fares in the group, the answer by how it fares in its mode."""
    reward, decided = _reward(batch, algorithm), batch.decided
    above = centre(reward, batch.groups, decided)
    in_mode = centre(reward, same_mode(batch), decided)
    deviation = _deviation(above, batch.groups, decided)
    lifted = above - in_mode + _lift(reward, batch, algorithm.bias)
    gamma = algorithm.constants.gamma
    judge = torch.where(decided, (lifted + gamma * above) / (deviation + 1e-4), 0.0)
    rest = standardise(reward, same_mode(batch), decided)
    return Advantages(judge=judge, tag=judge, rest=rest)


def degrpo(batch: Rollouts, algorithm: Algorithm) -> Advantages:
    """Return Thinkless': 1 for a correct short answer, less for a correct long one, -1 for a wrong one, centred."""
    worth = torch.where(batch.modes == ON, 1.0 - algorithm.price, 1.0)
    worth = torch.where(batch.modes == NONE, -1.0, worth)
    return _whole(centre(torch.where(batch.correct > 0, worth, -1.0), batch.groups, batch.decided))


def adaptthink(batch: Rollouts, algorithm: Algorithm) -> Advantages:
    """Return AdaptThink's: accuracy above the reference's, and a bonus for not thinking.

    Where the reference was not measured, the group's own mean takes its place.
    """
    own = batch.correct - centre(batch.correct, batch.groups, batch.decided)
    baseline = torch.where(batch.reference.isnan(), own, batch.reference.double())
    earned = batch.correct - baseline + algorithm.bonus * (batch.modes == OFF)
    return _whole(torch.where(batch.decided, earned, 0.0))


def _reward(batch: Rollouts, algorithm: Algorithm) -> Tensor:
    return batch.correct + algorithm.constants.format_weight * batch.well_formed


def _whole(value: Tensor) -> Advantages:
    return Advantages(judge=value, tag=value, rest=value)


def _deviation(centred: Tensor, cells: Tensor, taking_part: Tensor) -> Tensor:
    """The standard deviation of each one's cell (N,), of values that are centred already."""
    size = int(cells.max()) + 1
    zero = torch.zeros(size, dtype=centred.dtype, device=centred.device)
    number = zero.index_add(0, cells, taking_part.to(centred.dtype))
    return (zero.index_add(0, cells, centred.square()) / (number - 1).clamp(min=1)).sqrt()[cells]


def _lift(reward: Tensor, batch: Rollouts, bias: float) -> Tensor:
    """What think-off's mean is lifted by (N,): `bias` times think-on's, where it is behind by no more than that."""
    means = torch.stack([_mode_mean(reward, batch, OFF), _mode_mean(reward, batch, ON)])
    off, on = means[0][batch.groups], means[1][batch.groups]
    behind = on - off  # NaN, and so never close, where a mode has no rollout
    return torch.where((batch.modes == OFF) & (behind >= 0) & (behind <= bias * on), bias * on, 0.0)


def _mode_mean(reward: Tensor, batch: Rollouts, mode: int) -> Tensor:
    """The mean reward of one mode's rollouts by prompt (P,); NaN where it has none."""
    those = (batch.decided & (batch.modes == mode)).double()
    zero = torch.zeros(batch.history.shape[0], dtype=torch.double, device=reward.device)
    return zero.index_add(0, batch.groups, reward.double() * those) / zero.index_add(0, batch.groups, those)


PRESETS: Mapping[Name, Preset] = MappingProxyType(
    {
        "step_srpo": Preset(
            advantages=lambda batch, algorithm: step_srpo(batch, algorithm.constants),
            weigh=weigh_segments,
            weight=lambda algorithm: algorithm.constants.judge_weight,
        ),
        "grpo": Preset(advantages=grpo),
        "hipo": Preset(advantages=hipo),
        "degrpo": Preset(advantages=degrpo, weigh=weigh_control, weight=lambda algorithm: algorithm.control_weight),
        "adaptthink": Preset(advantages=adaptthink),
    }
)
