"""Turns tried in both modes: what is stored, what is paid, and what the report makes of it."""

from typing import Any

import pytest

from kat_data.registry import queries
from kat_data.registry.lineage import sample_lineage
from kat_data.registry.mode_evidence import mode_evidence

pytestmark = pytest.mark.integration


def measuring(lean: Any, **options: Any) -> Any:
    return lean(
        stages=[
            "normalise",
            {"vote_mode": {"random_share": 0}},
            {"measure_mode": {"share": 1, "k": 3, **options}},
            "sample_off",
            "sample_on",
            "verify",
            "judge_mode",
        ]
    )


async def test_votes_are_held_against_what_both_modes_brought(
    registry, server, run, lean, add_queries, easy_queries, look
) -> None:
    add_queries(*easy_queries)
    row = await run(measuring(lean))
    assert look.ends(row.id) == {"accepted": 12}
    assert server.statistics.duplicates == 0
    assert server.statistics.requests == 12 * (1 + 6 + 1)  # a vote, six answers, a judge analysis: no answer twice
    with registry.engine.connect() as connection:
        rows = mode_evidence(connection, row.id)
        composition = queries.composition(connection, row.id)
    voted_on = sum(part["think_on"] for part in composition)
    assert 0 < voted_on < 12
    assert [(found["category"], found["chosen_by"]) for found in rows] == [("math", "majority"), (None, None)]
    [every] = rows[1:]
    assert every["turns"] == every["compared"] == 12
    assert every["agreed"] == 12 - voted_on  # every answer is right, so thinking is worth nothing
    assert every["confusion"] == {"on": {"on": 0, "off": voted_on}, "off": {"on": 0, "off": 12 - voted_on}}
    low, high = every["agreement_interval"]
    assert low < every["agreement"] < high
    assert every["off_rate"] == every["on_rate"] == every["measured_rate"] == 1.0
    assert every["measured_tokens"] == every["off_tokens"] > 0


async def test_measurement_decides_and_the_lineage_tells(registry, run, lean, add_queries, easy_queries, look) -> None:
    add_queries(*easy_queries)
    row = await run(measuring(lean, decide="measurement"))
    with registry.engine.connect() as connection:
        samples = queries.list_samples(connection, row.id, 20)
        assert {sample["mode"] for sample in samples} == {"think_off"}
        lineage = sample_lineage(connection, str(samples[0]["id"]))
    [turn], [found] = lineage["turns"], lineage["mode_measurements"]
    assert (turn["mode"], turn["origin"], turn["margin"]) == ("think_off", "measurement", None)
    assert (found["chosen_by"], found["preferred"]) == ("majority", "think_off")
    assert (found["off_n"], found["off_correct"], found["on_n"], found["on_undecided"]) == (3, 3, 3, 0)
    assert found["off_tokens"] > 0
    assert all(candidate["tokens"] > 0 for candidate in lineage["candidates"])


async def test_a_run_that_measures_nothing_has_no_evidence(registry, run, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    row = await run(lean())
    with registry.engine.connect() as connection:
        assert mode_evidence(connection, row.id) == []
