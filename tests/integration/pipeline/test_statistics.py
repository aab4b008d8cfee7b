"""Statistics of a run: what the database adds up is what its rows say one by one."""

from collections import Counter, defaultdict
from itertools import combinations
from statistics import mean
from typing import Any

import pytest
from sqlalchemy import text

from kat_data.clock import SystemClock
from kat_data.domain.run_statistics import Judged, RunStatistics, Votes
from kat_data.pipeline.publish import publish_run
from kat_data.registry import queries
from kat_data.registry.run_statistics import run_statistics
from kat_data.snapshots.read import open_snapshot
from kat_data.snapshots.verify.verify import verify
from kat_data.testing import a_query

pytestmark = pytest.mark.integration


def rows(registry, sql: str, **values: Any) -> list[Any]:
    with registry.engine.begin() as connection:
        result = connection.execute(text(sql), values)
        return list(result) if result.returns_rows else []


def found(registry, run: int) -> RunStatistics:
    with registry.engine.connect() as connection:
        return run_statistics(connection, run, queries.run_cost(connection, run))


@pytest.fixture
async def voted(registry, run, lean, add_queries, easy_queries) -> int:
    """A run whose turns have three votes each: one voter says what the first says on even turns alone."""
    add_queries(*easy_queries)
    row = await run(lean())
    for position, model, other in ((1, "two", "query_id % 2 = 0"), (2, "three", "query_id % 3 = 0")):
        rows(
            registry,
            "INSERT INTO votes (run_id, query_id, turn, position, model, mode, reason, call)"
            " SELECT run_id, query_id, turn, :position, :model,"
            f" CASE WHEN {other} THEN mode WHEN mode = 'think_on' THEN 'think_off' ELSE 'think_on' END, '', call"
            " FROM votes WHERE run_id = :run AND position = 0",
            run=row.id,
            position=position,
            model=model,
        )
    return row.id


async def test_votes_are_added_up(registry, voted: int) -> None:
    ballots: dict[tuple[int, int], list[str]] = defaultdict(list)
    for vote in rows(registry, "SELECT * FROM votes WHERE run_id = :run", run=voted):
        ballots[vote.query_id, vote.turn].append(vote.mode)
    votes = found(registry, voted).votes
    assert isinstance(votes, Votes)
    assert (votes.turns, votes.votes) == (12, 36)
    assert votes.unanimous == sum(len(set(modes)) == 1 for modes in ballots.values()) == 2
    agreement = mean(one == other for modes in ballots.values() for one, other in combinations(modes, 2))
    assert votes.agreement == pytest.approx(agreement)
    share = mean(mode == "think_on" for modes in ballots.values() for mode in modes)
    chance = share**2 + (1 - share) ** 2
    assert votes.kappa == pytest.approx((agreement - chance) / (1 - chance))
    assert votes.margins == {"1.0": 12}  # as the run itself had one voter


async def test_voters_are_held_against_the_majority(registry, voted: int) -> None:
    agreed = {voter.model: (voter.votes, voter.agreed) for voter in found(registry, voted).voters}
    ids = [row.query_id for row in rows(registry, "SELECT query_id FROM samples WHERE run_id = :run", run=voted)]
    by_two, by_three = (sum(ident % step == 0 for ident in ids) for step in (2, 3))
    assert agreed == {"one": (12, 12), "two": (12, by_two), "three": (12, by_three)}


async def test_a_single_vote_agrees_with_nobody(registry, run, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries[:3])
    votes = found(registry, (await run(lean())).id).votes
    assert votes is not None
    assert (votes.turns, votes.unanimous, votes.agreement, votes.kappa) == (3, 3, None, None)


async def test_tokens_are_those_of_accepted_answers(registry, voted: int) -> None:
    sql = """SELECT candidates.mode, candidates.tokens FROM turns JOIN candidates USING (run_id, query_id, turn)
        WHERE run_id = :run AND position = accepted"""
    tokens: dict[str, list[int]] = defaultdict(list)
    for answer in rows(registry, sql, run=voted):
        tokens[answer.mode].append(answer.tokens)
    assert set(tokens) == {"think_on", "think_off"}
    for mode in found(registry, voted).tokens:
        mine = sorted(tokens[mode.mode])
        assert (mode.answers, mode.counted, mode.tokens, mode.longest) == (len(mine), len(mine), sum(mine), mine[-1])
        assert mode.median == mine[(len(mine) - 1) // 2]
    rows(registry, "UPDATE candidates SET tokens = NULL WHERE run_id = :run AND mode = 'think_on'", run=voted)
    on = next(mode for mode in found(registry, voted).tokens if mode.mode == "think_on")
    assert (on.answers, on.counted, on.tokens, on.median) == (len(tokens["think_on"]), 0, 0, 0)


async def test_candidates_count_by_their_last_verdict(registry, voted: int) -> None:
    before = found(registry, voted).judged
    assert {(each.category, each.answers, each.correct) for each in before} == {
        ("math", each.correct, each.correct) for each in before
    }
    [first, *_] = rows(
        registry, "SELECT * FROM verdicts JOIN turns USING (run_id, query_id, turn) WHERE run_id = :r", r=voted
    )
    rows(
        registry,
        "INSERT INTO verdicts (run_id, query_id, turn, position, number, verifier, outcome, status, evidence)"
        " VALUES (:run, :query, :turn, :position, 99, 'panel/1', 'undecided', 'split_panel', '{}')",
        run=voted, query=first.query_id, turn=first.turn, position=first.position,
    )  # fmt: skip
    old = next(each for each in before if each.mode == first.mode)
    changed = next(each for each in found(registry, voted).judged if each.mode == first.mode)
    assert changed == Judged(
        category="math", mode=first.mode, answers=old.answers, correct=old.correct - 1, incorrect=0, undecided=1
    )


async def test_money_and_calls_are_shared_out(registry, voted: int) -> None:
    with registry.engine.connect() as connection:
        cost = queries.run_cost(connection, voted)
    statistics = found(registry, voted)
    assert statistics.samples == 12
    assert statistics.usd_per_sample == pytest.approx(cost.usd_used / 12)
    assert statistics.usd_per_sample > 0
    assert statistics.calls_per_sample == pytest.approx(cost.made / 12)
    assert cost.made >= 36  # a vote, an answer and a judge analysis each


async def test_languages_and_duplicates(registry, voted: int, add_queries) -> None:
    assert found(registry, voted).languages == {}
    ids = [row.query_id for row in rows(registry, "SELECT query_id FROM samples WHERE run_id = :run", run=voted)]
    for number, ident in enumerate(ids):
        labels = ["{}", '{"language": "zh"}', '{"language": "en"}'][min(number, 2)]
        rows(
            registry,
            "INSERT INTO tag_summaries (run_id, query_id, difficulty, spread, domain, verifiable, labels)"
            " VALUES (:run, :query, 3, 0, 'sums', true, (:labels)::json)",
            run=voted, query=ident, labels=labels,
        )  # fmt: skip
    add_queries(a_query("Nearly the same result."))
    [other] = rows(registry, "SELECT max(id) AS id FROM queries")
    [cluster] = rows(registry, "INSERT INTO clusters (representative) VALUES (:query) RETURNING id", query=ids[0])
    for ident in (ids[0], other.id):
        rows(registry, "INSERT INTO cluster_members (query_id, cluster_id) VALUES (:q, :c)", q=ident, c=cluster.id)
    statistics = found(registry, voted)
    assert statistics.languages == {"en": 10, "untagged": 1, "zh": 1}
    assert statistics.duplicates.near == 1


async def test_a_snapshot_states_them_and_shows_them(registry, voted: int, tmp_path, measured_home) -> None:
    written = publish_run(registry, tmp_path, voted, name=None, partial=False, clock=SystemClock(), home=measured_home)
    statistics = open_snapshot(written.path).manifest.unhashed.statistics
    assert statistics is not None
    assert statistics.run == found(registry, voted)
    assert sum(each.rows for each in statistics.verdicts) == 12
    assert verify(written.path).problems == ()
    card = (written.path / "README.md").read_text()
    for title, file in (("Lengths", "lengths"), ("Votes on modes", "votes"), ("Pass rates of candidates", "passed")):
        assert f"## {title}\n" in card
        assert f"]({file}.png)" in card
        assert (written.path / f"{file}.png").read_bytes().startswith(b"\x89PNG")
    modes = Counter(row.mode for row in rows(registry, "SELECT mode FROM samples WHERE run_id = :run", run=voted))
    assert {each.of: each.texts for each in statistics.lengths[1:]} == modes
