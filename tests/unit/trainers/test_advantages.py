from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trainers.rollouts import NAN, rollouts, some_rollouts
from trainers.advantages import (
    UNKNOWN,
    Advantages,
    Constants,
    Lengths,
    Rollouts,
    count,
    label,
    part,
    rewards,
    spread,
    standardise,
    step_srpo,
    weigh_control,
    weigh_segments,
)
from trainers.segments import NONE, OFF, ON, Segments


def test_off_is_right_where_it_is_within_delta_of_on_and_unknown_without_samples() -> None:
    counts = torch.tensor(
        [
            [[9.5, 10], [10, 10]],  # off 0.95, on 1.0: a near tie
            [[9.4, 10], [10, 10]],
            [[0, 10], [0, 10]],
            [[10, 10], [0, 0.9]],
            [[0, 0], [10, 10]],
        ],
        dtype=torch.double,
    )

    assert label(counts, delta=0.05).tolist() == [OFF, ON, OFF, UNKNOWN, UNKNOWN]


def test_earlier_samples_count_half_and_the_undecided_and_modeless_not_at_all() -> None:
    history = torch.tensor([[[2.0, 4.0], [1.0, 2.0]]], dtype=torch.double)
    batch = rollouts([1, 0, 1, NAN, 0], [ON, ON, OFF, OFF, NONE], history=history)

    assert count(batch, 0.5).tolist() == [[[2.0, 3.0], [1.5, 3.0]]]


def test_the_table_of_rewards() -> None:
    wanted = {
        (ON, 1.0): {ON: (1.2, 1.2), OFF: (0.2, 0.7), UNKNOWN: (0.7, 1.2)},
        (OFF, 1.0): {ON: (0.2, 0.7), OFF: (1.2, 1.2), UNKNOWN: (0.7, 1.2)},
        (ON, 0.0): {ON: (1.2, 0.2), OFF: (0.2, 0.2), UNKNOWN: (0.7, 0.2)},
        (OFF, 0.0): {ON: (0.2, 0.2), OFF: (1.2, 0.2), UNKNOWN: (0.7, 0.2)},
    }
    for (mode, accuracy), by_label in wanted.items():
        for known, (judge, answer) in by_label.items():
            found = rewards(rollouts([accuracy], [mode]), torch.tensor([known]), Constants())
            assert (found.judge.item(), found.answer.item()) == pytest.approx((judge, answer))
    for known in (ON, OFF, UNKNOWN):
        found = rewards(rollouts([0.0], [NONE], well_formed=[0.0]), torch.tensor([known]), Constants())
        assert (found.judge.item(), found.answer.item()) == (0.0, 0.0)


def test_form_can_be_the_condition_of_the_judges_reward() -> None:
    batch = rollouts([1.0], [ON], well_formed=[0.0])
    assert rewards(batch, torch.tensor([ON]), Constants(format_gates_judge=True)).judge.item() == 0.0


@given(batch=some_rollouts(), weight=st.sampled_from([0.0, 0.2, 1.0]))
def test_a_wrong_answer_never_earns_from_a_right_gate(batch: Rollouts, weight: float) -> None:
    constants = Constants(format_weight=weight)
    earned = [
        rewards(batch, torch.full((3,), known), constants).answer[batch.accuracy == 0] for known in (ON, OFF, UNKNOWN)
    ]
    form = weight * batch.well_formed[batch.accuracy == 0]
    for answer in earned:
        assert torch.allclose(answer.float(), form)


@given(batch=some_rollouts())
def test_a_lone_member_of_its_mode_and_a_mode_without_variance_earn_nothing_for_the_answer(batch: Rollouts) -> None:
    found = step_srpo(batch, Constants())
    earned = rewards(batch, label(count(batch, 0.5), 0.05), Constants()).answer
    for group in range(3):
        for mode in (ON, OFF):
            members = (batch.groups == group) & (batch.modes == mode) & batch.decided
            if members.sum() < 2 or earned[members].unique().numel() == 1:
                assert (found.rest[members] == 0).all()


@given(batch=some_rollouts())
def test_the_undecided_earn_nothing_and_change_nothing(batch: Rollouts) -> None:
    found = step_srpo(batch, Constants())
    assert (found.judge[~batch.decided] == 0).all()
    assert (found.rest[~batch.decided] == 0).all()

    kept = batch.decided
    alone = replace(
        batch,
        accuracy=batch.accuracy[kept],
        modes=batch.modes[kept],
        groups=batch.groups[kept],
        well_formed=batch.well_formed[kept],
        forced=batch.forced[kept],
    )
    without = step_srpo(alone, Constants())
    assert torch.allclose(found.judge[kept], without.judge)
    assert torch.allclose(found.rest[kept], without.rest)


@given(batch=some_rollouts(), order=st.permutations(range(6)))
def test_the_order_in_a_group_is_no_matter(batch: Rollouts, order: list[int]) -> None:
    place = torch.cat([torch.tensor(order) + 6 * group for group in range(3)])
    moved = replace(
        batch,
        accuracy=batch.accuracy[place],
        modes=batch.modes[place],
        well_formed=batch.well_formed[place],
        forced=batch.forced[place],
    )
    found, other = step_srpo(batch, Constants()), step_srpo(moved, Constants())
    assert torch.allclose(found.judge[place], other.judge)
    assert torch.allclose(found.rest[place], other.rest)


@given(batch=some_rollouts())
def test_step_srpo_is_what_a_loop_computes(batch: Rollouts) -> None:
    found = step_srpo(batch, Constants())
    for group in range(3):
        judge, rest = naive(batch, group)
        members = (batch.groups == group).nonzero().flatten().tolist()
        assert found.judge[members].tolist() == pytest.approx(judge, abs=1e-6)
        assert found.rest[members].tolist() == pytest.approx(rest, abs=1e-6)


def naive(batch: Rollouts, group: int) -> tuple[list[float], list[float]]:
    """Step-SRPO/1 for one group, as the notes write it down."""
    members = (batch.groups == group).nonzero().flatten().tolist()
    m = [int(batch.modes[i]) for i in members]
    acc = [float(batch.accuracy[i]) for i in members]
    fmt = [float(batch.well_formed[i]) for i in members]
    forced = [bool(batch.forced[i]) for i in members]
    rate = {}
    for mode in (ON, OFF):
        correct, samples = (0.5 * float(x) for x in batch.history[group, mode])
        new = [a for a, of in zip(acc, m, strict=True) if of == mode and a == a]
        correct, samples = correct + sum(new), samples + len(new)
        rate[mode] = correct / samples if samples >= 1 else None
    star = None
    if None not in rate.values():
        star = OFF if rate[OFF] >= rate[ON] - 0.05 - 1e-9 else ON
    r_judge, r_answer = [], []
    for mode, a, f in zip(m, acc, fmt, strict=True):
        right = 0.0 if mode == NONE else 0.5 if star is None else float(mode == star)
        worth = 0.0 if mode == NONE else 1.0 if star in (None, mode) else 0.5
        r_judge.append(right + 0.2 * f)
        r_answer.append((worth if a == 1 else 0.0) + 0.2 * f)

    def norm(values: list[float], among: list[int], i: int) -> float:
        there = [values[j] for j in among]
        if i not in among or len(there) < 2 or max(there) - min(there) < 1e-12:
            return 0.0
        mean = sum(there) / len(there)
        std = (sum((v - mean) ** 2 for v in there) / (len(there) - 1)) ** 0.5
        return (values[i] - mean) / (std + 1e-4)

    decided = [i for i, a in enumerate(acc) if a == a]
    free = [i for i in decided if not forced[i]]
    judge = [norm(r_judge, free, i) + 0.3 * norm(r_answer, free, i) for i in range(len(m))]
    rest = [norm(r_answer, [j for j in decided if m[j] == m[i]], i) if m[i] != NONE else 0.0 for i in range(len(m))]
    return judge, rest


def test_a_dropped_negative_judge_leaves_malformed_rollouts_their_loss() -> None:
    batch = rollouts([1, 1, 0, 0], [OFF, OFF, ON, NONE], well_formed=[1.0, 1.0, 1.0, 0.0])
    found = step_srpo(batch, Constants(drop_negative_judge=True))
    plain = step_srpo(batch, Constants())
    assert plain.judge[2] < 0
    assert found.judge[2] == 0
    assert found.judge[3] == plain.judge[3] < 0


@given(
    values=st.lists(st.floats(-3, 3), min_size=1, max_size=12),
    data=st.data(),
)
def test_standardised_values_have_mean_zero_and_deviation_one(values: list[float], data: st.DataObject) -> None:
    cells = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(values), max_size=len(values))))
    found = standardise(torch.tensor(values), cells, torch.ones(len(values), dtype=torch.bool))
    for cell in cells.unique():
        own = found[cells == cell]
        assert own.mean().item() == pytest.approx(0, abs=1e-6)
        if own.any() and torch.tensor(values)[cells == cell].std() > 0.1:
            assert own.std().item() == pytest.approx(1, abs=2e-3)


def lengths(judge, tag, rest, given=None) -> Lengths:
    given = torch.tensor(given or [0] * len(judge))
    return Lengths(judge=torch.tensor(judge), tag=torch.tensor(tag), rest=torch.tensor(rest), given=given)


def loss(given: Advantages, sizes: Lengths) -> torch.Tensor:
    """The loss of a token-level mean whose every token has its rollout's advantage, by part."""
    return (
        (given.judge * sizes.judge).sum() + (given.tag * sizes.tag).sum() + (given.rest * sizes.rest).sum()
    ) / sizes.all.sum()


def test_segments_weigh_by_their_own_means_however_long_the_rest_is() -> None:
    batch = rollouts([1.0, 0.0, NAN], [ON, OFF, ON])
    ones = Advantages(judge=torch.ones(3), tag=torch.ones(3), rest=torch.zeros(3))
    for rest in (5, 5000):
        sizes = lengths([4, 9, 2], [1, 1, 1], [rest, 3, 3], [0, 0, 7])
        scaled = weigh_segments(ones, sizes, batch, 0.5)
        signal = Advantages(
            judge=scaled.judge * batch.decided, tag=scaled.tag * batch.decided, rest=scaled.rest * batch.decided
        )
        assert loss(signal, sizes).item() == pytest.approx(0.5)


def test_the_control_token_weighs_alpha_against_each_rollouts_mean() -> None:
    batch = rollouts([1.0, 0.0], [ON, OFF])
    given_ = Advantages(judge=torch.tensor([2.0, 0]), tag=torch.tensor([3.0, 5.0]), rest=torch.tensor([2.0, 0]))
    sizes = lengths([4, 9], [1, 2], [500, 3])
    assert loss(weigh_control(given_, sizes, batch, 0.001), sizes).item() == pytest.approx((2 + 0.001 * (3 + 5)) / 2)


def test_advantages_stand_on_their_segments_tokens_and_not_on_given_ones() -> None:
    judge = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]).bool()
    rest = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]).bool()
    tag = torch.tensor([[0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]).bool()
    segments = Segments(modes=torch.tensor([ON, OFF]), judge=judge, rest=rest, tag=tag)
    earned = Advantages(judge=torch.tensor([9.0, 1, 4]), tag=torch.tensor([9.0, 2, 5]), rest=torch.tensor([9.0, 3, 6]))
    generated = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 1, 1]]).bool()

    found = spread(part(earned, slice(1, 3)), segments, generated)

    assert found.tolist() == [[1, 2, 3, 3, 0], [0, 0, 0, 6, 6]]
