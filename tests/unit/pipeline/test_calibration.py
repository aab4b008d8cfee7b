"""Calibration on constructed tags: bins, correlations and levels in the wrong order."""

import pytest

from kat_data.pipeline.calibration import Violation, calibration


def tags(*rows):
    """Rows of (query, model, difficulty, median)."""
    positions = {}
    return [
        {"query_id": query, "position": positions.setdefault(query, 0), "model": model, "difficulty": d, "median": m}
        for query, model, d, m in rows
    ]


def test_bins_hold_the_rounded_median_and_queries_without_a_rate_are_left_out():
    found = calibration(
        "x", tags((1, "a", 3, 3.0), (2, "a", 3, 3.5), (3, "a", 4, 4.0), (4, "a", 9, 9.0)), {1: 1.0, 2: 0.5, 3: 0.0}
    )
    assert [(b.difficulty, b.queries, b.mean) for b in found.bins] == [(3, 1, 1.0), (4, 2, 0.25)]
    assert found.queries == 3
    assert found.violations == ()


def test_every_tagger_and_the_median_are_ranked_on_their_own():
    rows = []
    for query in range(6):
        rows += [
            (query, "good", query + 1, query + 1.0),
            (query, "bad", 6 - query, query + 1.0),
            (query, "good", 5, query + 1.0),
        ]
    found = calibration("x", tags(*rows), {query: 1 - query / 6 for query in range(6)})
    assert found.correlations["good"].rho == pytest.approx(-1)
    assert found.correlations["bad"].rho == pytest.approx(1)
    assert found.correlations["good #2"].rho is None
    assert found.correlations["median"].rho == pytest.approx(-1)


def test_levels_in_the_wrong_order_are_named_and_doubt_is_told():
    rows, rates = [], {}
    for level, mean in ((2, 0.9), (3, 0.2), (4, 0.7), (5, 0.72)):
        for i in range(20):
            query = level * 100 + i
            rows.append((query, "a", level, float(level)))
            rates[query] = mean + (0.05 if i % 2 else -0.05)
    found = calibration("x", tags(*rows), rates)
    assert found.violations == (
        Violation(easier=3, harder=4, gap=pytest.approx(0.5), clear=True),
        Violation(easier=4, harder=5, gap=pytest.approx(0.02), clear=False),
    )
    assert found.bins[0].low == pytest.approx(0.9 - 0.0225, abs=1e-3)


def test_few_queries_have_no_interval_and_are_never_clear():
    rows = tags(*((q, "a", 1 + q // 4, 1.0 + q // 4) for q in range(8)))
    found = calibration("x", rows, {q: float(q >= 4) for q in range(8)})
    assert [(b.low, b.high) for b in found.bins] == [(None, None), (None, None)]
    assert [v.clear for v in found.violations] == [False]
