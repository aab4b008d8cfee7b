import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trainers.rollouts import NAN, rollouts, some_rollouts
from trainers.advantages import Constants, Lengths, Rollouts
from trainers.presets import PRESETS, Algorithm, adaptthink, advantages, degrpo, grpo, hipo
from trainers.segments import NONE, OFF, ON

GAMMA, BIAS = 0.3, 0.01


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def deviation(values: list[float]) -> float:
    return math.sqrt(sum((v - mean(values)) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0


def groups(batch: Rollouts) -> list[list[int]]:
    """The decided members of each group."""
    return [((batch.groups == group) & batch.decided).nonzero().flatten().tolist() for group in range(3)]


@given(batch=some_rollouts())
def test_grpo_is_the_standardised_sum_of_accuracy_and_form(batch: Rollouts) -> None:
    found = grpo(batch, Algorithm(preset="grpo"))
    assert (found.rest[~batch.decided] == 0).all()
    assert torch.equal(found.judge, found.rest)
    for members in groups(batch):
        reward = [float(batch.accuracy[i] + 0.2 * batch.well_formed[i]) for i in members]
        wanted = [(r - mean(reward)) / (deviation(reward) + 1e-4) for r in reward]
        assert found.rest[members].tolist() == pytest.approx(wanted, abs=1e-4)


@given(batch=some_rollouts())
def test_hipo_is_what_its_paper_writes(batch: Rollouts) -> None:
    found = hipo(batch, Algorithm(preset="hipo"))
    for members in groups(batch):
        reward = {i: float(batch.accuracy[i] + 0.2 * batch.well_formed[i]) for i in members}
        by_mode = {mode: [i for i in members if batch.modes[i] == mode] for mode in (ON, OFF, NONE)}
        means = {mode: mean([reward[i] for i in own]) for mode, own in by_mode.items() if own}
        lifted = dict(means)
        if ON in means and OFF in means and 0 <= means[ON] - means[OFF] <= BIAS * means[ON]:
            lifted[OFF] = means[OFF] + BIAS * means[ON]
        everyone = list(reward.values())
        for i in members:
            mode = int(batch.modes[i])
            above = reward[i] - mean(everyone)
            judge = (lifted[mode] - mean(everyone) + GAMMA * above) / (deviation(everyone) + 1e-4)
            own = [reward[j] for j in by_mode[mode]]
            rest = (reward[i] - mean(own)) / (deviation(own) + 1e-4)
            assert found.judge[i].item() == pytest.approx(judge, abs=1e-4)
            assert found.rest[i].item() == pytest.approx(rest, abs=1e-4)


def test_hipo_lifts_think_off_where_it_is_close_behind() -> None:
    close = rollouts([1, 1, 1, 1], [ON, ON, OFF, OFF])
    assert (hipo(close, Algorithm(bias=0.01)).judge[2:] > 0).all()
    assert (hipo(close, Algorithm(bias=0.0)).judge == 0).all()
    apart = rollouts([1, 1, 0, 1], [ON, ON, OFF, OFF])
    assert hipo(apart, Algorithm(bias=0.01)).judge[3] < 0


@given(batch=some_rollouts())
def test_degrpo_pays_short_answers_more_and_centres(batch: Rollouts) -> None:
    found = degrpo(batch, Algorithm(preset="degrpo", price=0.5))
    for members in groups(batch):
        worth = [
            -1.0 if batch.accuracy[i] == 0 or batch.modes[i] == NONE else {ON: 0.5, OFF: 1.0}[int(batch.modes[i])]
            for i in members
        ]
        assert found.rest[members].tolist() == pytest.approx([w - mean(worth) for w in worth], abs=1e-6)


@given(batch=some_rollouts(), measured=st.sampled_from([NAN, 0.25]))
def test_adaptthink_is_accuracy_above_the_reference_and_a_bonus(batch: Rollouts, measured: float) -> None:
    batch.reference.fill_(measured)
    found = adaptthink(batch, Algorithm(preset="adaptthink", bonus=0.05))
    for members in groups(batch):
        accuracy = [float(batch.accuracy[i]) for i in members]
        baseline = measured if measured == measured else mean(accuracy or [0.0])
        bonus = [0.05 * (batch.modes[i] == OFF) for i in members]
        wanted = [a - baseline + float(b) for a, b in zip(accuracy, bonus, strict=True)]
        assert found.rest[members].tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("preset", list(PRESETS))
@given(batch=some_rollouts())
def test_every_preset_is_finite_and_leaves_out_the_undecided(preset, batch: Rollouts) -> None:
    sizes = Lengths(
        judge=torch.full((18,), 3), tag=torch.full((18,), 1), rest=torch.arange(18), given=torch.zeros(18).long()
    )
    found = advantages(batch, sizes, Algorithm(preset=preset, constants=Constants()))
    for part in (found.judge, found.tag, found.rest):
        assert part.isfinite().all()
        assert (part[~batch.decided] == 0).all()
