import math

import pytest
import torch

from tests.unit.trainers.rollouts import rollouts
from trainers.advantages import UNKNOWN, Constants, Lengths, rewards
from trainers.gauges import gauge, gauge_suites, think_on
from trainers.history import Change
from trainers.segments import NONE, OFF, ON

NAN = math.nan
BATCH = rollouts(
    [1, 1, 0, NAN, 1, 0], [ON, OFF, OFF, ON, OFF, NONE], group=3, forced=[False, False, False, False, True, False]
)
LENGTHS = Lengths(
    judge=torch.tensor([2, 2, 4, 2, 0, 5]),
    tag=torch.tensor([1, 1, 1, 1, 0, 0]),
    rest=torch.tensor([10, 3, 4, 20, 3, 0]),
    given=torch.tensor([0, 0, 0, 0, 3, 0]),
)
LABELS = torch.tensor([ON, UNKNOWN])


def test_each_figure_is_over_the_rollouts_that_it_concerns() -> None:
    earned = rewards(BATCH, LABELS, Constants(format_weight=0.0))
    found = gauge(BATCH, LENGTHS, LABELS, earned, Change(seen_again=4, flipped=1))
    assert found["gate/think_on"] == think_on(BATCH) == 0.5  # two of the four that chose
    assert found["gate/no_mode"] == pytest.approx(1 / 5)
    assert found["gate/judge_accuracy"] == pytest.approx(1 / 3)  # the label of the second prompt is not known
    assert (found["gate/label_known"], found["gate/label_on"], found["gate/flipped"]) == (0.5, 1.0, 0.25)
    assert found["tokens/on"] == (13 + 23) / 2
    assert found["tokens/off"] == (6 + 9) / 2
    assert found["tokens/all"] == (13 + 6 + 9 + 23 + 5) / 5
    assert found["tokens/judge"] == (3 + 3 + 5 + 3 + 5) / 5
    assert found["accuracy/all"] == 0.5
    assert (found["accuracy/on"], found["accuracy/off"]) == (1.0, pytest.approx(2 / 3))  # a given judge's counts
    assert found["accuracy/undecided"] == pytest.approx(1 / 6)
    assert found["reward/judge"] == pytest.approx(1 / 4)
    assert found["reward/answer"] == pytest.approx((1 + 0.5 + 0 + 1 + 0) / 5)
    assert found["balance/forced"] == pytest.approx(1 / 6)


def test_nothing_can_be_said_where_there_is_nothing() -> None:
    none = rollouts([NAN, NAN], [NONE, NONE])
    sizes = Lengths(**{name: torch.zeros(2) for name in ("judge", "tag", "rest", "given")})
    labels = torch.tensor([UNKNOWN])
    found = gauge(none, sizes, labels, rewards(none, labels, Constants()), Change(seen_again=0, flipped=0))
    for name in ("gate/think_on", "gate/judge_accuracy", "gate/flipped", "tokens/on", "accuracy/all"):
        assert math.isnan(found[name])


def test_suites_are_told_apart() -> None:
    found = gauge_suites(BATCH, LENGTHS, ["easy", "hard"])
    assert found["suite/easy/think_on"] == pytest.approx(1 / 3)
    assert found["suite/hard/think_on"] == 1.0
    assert (found["suite/easy/accuracy"], found["suite/hard/accuracy"]) == (pytest.approx(2 / 3), 0.0)
    assert (found["suite/easy/tokens"], found["suite/hard/tokens"]) == (pytest.approx(28 / 3), 14.0)
