"""What a batch of rollouts shows of the gate: figures for the record, over the rollouts of all processes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.advantages import UNKNOWN, Lengths, Rewards, Rollouts
from trainers.history import Change
from trainers.segments import NONE, OFF, ON

NAN = float("nan")


def gauge(batch: Rollouts, lengths: Lengths, labels: Tensor, earned: Rewards, change: Change) -> dict[str, float]:
    """Return the figures of one batch, NaN where nothing can be said; the judge counts among a rollout's tokens.

    Rollouts whose judge was given count for accuracies alone. `labels` (P,) are the modes that prompts need.
    """
    free = ~batch.forced
    wanted = labels[batch.groups]
    judged = free & (batch.modes != NONE) & (wanted != UNKNOWN)
    return {
        "gate/think_on": think_on(batch),
        "gate/no_mode": _mean(batch.modes == NONE, free),
        "gate/judge_accuracy": _mean(batch.modes == wanted, judged),
        "gate/label_known": (labels != UNKNOWN).double().mean().item(),
        "gate/label_on": _mean(labels == ON, labels != UNKNOWN),
        "gate/flipped": change.flipped / change.seen_again if change.seen_again else NAN,
        "tokens/all": _mean(lengths.all, free),
        "tokens/on": _mean(lengths.all, free & (batch.modes == ON)),
        "tokens/off": _mean(lengths.all, free & (batch.modes == OFF)),
        "tokens/judge": _mean(lengths.judge + lengths.tag, free),
        "accuracy/all": _mean(batch.correct, batch.decided & free),
        "accuracy/on": _mean(batch.correct, batch.decided & (batch.modes == ON)),
        "accuracy/off": _mean(batch.correct, batch.decided & (batch.modes == OFF)),
        "accuracy/undecided": (~batch.decided).double().mean().item(),
        "reward/judge": _mean(earned.judge, batch.decided & free),
        "reward/answer": _mean(earned.answer, batch.decided),
        "reward/well_formed": _mean(batch.well_formed, free),
        "balance/forced": batch.forced.double().mean().item(),
    }


def gauge_suites(batch: Rollouts, lengths: Lengths, suites: Sequence[str]) -> dict[str, float]:
    """Return think-on, accuracy and tokens of each suite; `suites` has one name for each prompt."""
    found: dict[str, float] = {}
    for name in sorted(set(suites)):
        prompts = torch.tensor([suite == name for suite in suites])
        own = prompts[batch.groups] & ~batch.forced
        found[f"suite/{name}/think_on"] = _mean(batch.modes == ON, own & (batch.modes != NONE))
        found[f"suite/{name}/accuracy"] = _mean(batch.correct, own & batch.decided)
        found[f"suite/{name}/tokens"] = _mean(lengths.all, own)
    return found


def think_on(batch: Rollouts) -> float:
    """Return the share of think-on among the rollouts that chose a mode."""
    return _mean(batch.modes == ON, ~batch.forced & (batch.modes != NONE))


def _mean(values: Tensor, chosen: Tensor) -> float:
    return values[chosen].double().mean().item() if chosen.any() else NAN
