"""Previews: the cost of the whole, told by a few queries."""

from typing import Any

import pytest

from kat_data.cli.preview import extrapolate, print_extrapolation


def report(*strata: tuple[str, int, int]) -> dict[str, Any]:
    """What a run over ten queries came to, with (stratum, target, samples)."""
    return {
        "queries": 10,
        "accepted": 6,
        "cost": {"usd_used": 0.3, "prompt_tokens": 600, "completion_tokens": 300},
        "mixture": [{"stratum": name, "target": target, "samples": samples} for name, target, samples in strata],
    }


def test_without_a_mixture_all_queries_are_worked_on(capsys: pytest.CaptureFixture[str]) -> None:
    guess = extrapolate(report(), 100)
    assert guess == {"queries": 100, "usd": pytest.approx(3.0), "accepted": 60, "tokens": 9000}
    print_extrapolation(guess)
    assert "all 100 queries: about $3" in capsys.readouterr().err


def test_a_mixture_costs_what_its_samples_cost(capsys: pytest.CaptureFixture[str]) -> None:
    """Of six samples for 0.3 dollars, 20 of 40 and 10 of 20 are wanted: half of what all queries would cost."""
    guess = extrapolate(report(("category=math", 20, 4), ("category=code", 10, 2), ("category=science", 5, 0)), 100)
    assert guess == {
        "queries": 100, "usd": pytest.approx(1.5), "accepted": 30, "tokens": pytest.approx(4500), "wanted": 35,
        "unseen": ["category=science"],
    }  # fmt: skip
    print_extrapolation(guess)
    said = capsys.readouterr().err
    assert "30 accepted samples of the 35 that it asks for" in said
    assert "counts for category=science: what these cost cannot be told" in said


def test_a_mixture_never_takes_more_than_all_queries_bring() -> None:
    guess = extrapolate(report(("category=math", 1_000_000, 6)), 100)
    assert (guess["usd"], guess["accepted"], guess["wanted"]) == (pytest.approx(3.0), 60, 1_000_000)


def test_where_nothing_counts_all_queries_may_be_asked_in_vain() -> None:
    guess = extrapolate(report(("category=math", 5, 0)), 100)
    assert (guess["usd"], guess["accepted"]) == (pytest.approx(3.0), 0)
