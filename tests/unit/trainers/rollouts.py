"""Batches of rollouts, given and drawn."""

import torch
from hypothesis import strategies as st

from trainers.advantages import Rollouts
from trainers.segments import NONE, OFF, ON

NAN = float("nan")


def rollouts(accuracy, modes, *, group: int | None = None, well_formed=None, forced=None, history=None) -> Rollouts:
    number = len(accuracy)
    size = group or number
    return Rollouts(
        accuracy=torch.tensor(accuracy, dtype=torch.double),
        modes=torch.tensor(modes),
        groups=torch.arange(number) // size,
        well_formed=torch.tensor(well_formed or [1.0] * number),
        forced=torch.tensor(forced or [False] * number),
        history=torch.zeros(-(-number // size), 2, 2, dtype=torch.double) if history is None else history,
        reference=torch.full((number,), NAN),
    )


@st.composite
def some_rollouts(draw, prompts: int = 3, size: int = 6) -> Rollouts:
    number = prompts * size
    many = lambda values: draw(st.lists(st.sampled_from(values), min_size=number, max_size=number))  # noqa: E731
    samples = torch.tensor(draw(st.lists(st.floats(0, 4), min_size=2 * prompts, max_size=2 * prompts)))
    share = torch.tensor(draw(st.lists(st.floats(0, 1), min_size=2 * prompts, max_size=2 * prompts)))
    history = torch.stack([samples * share, samples], dim=1).view(prompts, 2, 2).double()
    modes = many([ON, OFF, NONE])
    accuracy = [0.0 if mode == NONE else value for mode, value in zip(modes, many([0.0, 1.0, NAN]), strict=True)]
    formed = [0.0 if mode == NONE else value for mode, value in zip(modes, many([0.0, 1.0]), strict=True)]
    return rollouts(accuracy, modes, group=size, well_formed=formed, forced=many([False, False, True]), history=history)
