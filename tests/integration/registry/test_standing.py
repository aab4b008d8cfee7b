"""Which decision on a sample holds, and that what is rejected stands no more."""

import itertools
from typing import Any

import pytest
from sqlalchemy import text

from kat_data.domain.decision import Act
from kat_data.hashing import sha256
from kat_data.registry.session import Registry
from kat_data.registry.standing import LAST_DECISIONS, STANDS
from kat_data.testing import a_query

pytestmark = pytest.mark.integration


@pytest.fixture
def samples(registry: Registry, open_run) -> tuple[int, int, int]:
    """Two samples of two runs with the same content, and one with another."""
    queries = a_query("one"), a_query("two")
    runs = open_run(*queries), open_run(*queries, identity="another")
    ids = []
    with registry.connection(autocommit=True) as connection:
        for run, query in ((runs[0], 0), (runs[1], 0), (runs[0], 1)):
            row = connection.execute(
                "INSERT INTO samples (hash, run_id, query_id, sample, lineage)"
                " SELECT %s, %s, id, '{}', '' FROM queries WHERE hash = %s RETURNING id",
                [sha256(queries[query].hash), run.id, queries[query].hash],
            ).fetchone()
            assert row is not None
            ids.append(row[0])
    return ids[0], ids[1], ids[2]


@pytest.fixture
def decide(registry: Registry):
    events = itertools.count()

    def decide_(sample: int, act: Act, **values: Any) -> int:
        sql = text("""
            INSERT INTO decisions (event, sample_id, sample_hash, curator, act, undoes)
            SELECT :event, id, hash, 'ana', :act, :undoes FROM samples WHERE id = :sample RETURNING id
        """)
        given = {"event": str(next(events)), "sample": sample, "act": act.value, "undoes": None, **values}
        with registry.engine.begin() as connection:
            decision: int = connection.execute(sql, given).scalar_one()
        return decision

    return decide_


@pytest.fixture
def standing(registry: Registry):
    def standing_() -> list[int]:
        with registry.engine.connect() as connection:
            return list(connection.execute(text(f"SELECT id FROM samples WHERE {STANDS} ORDER BY id")).scalars())

    return standing_


def test_what_nobody_has_looked_at_stands(samples, standing) -> None:
    assert standing() == list(samples)


def test_a_rejection_holds_for_the_content_whichever_run_brought_it(samples, decide, standing) -> None:
    decide(samples[0], Act.REJECT)
    assert standing() == [samples[2]]


@pytest.mark.parametrize("act", [Act.ACCEPT, Act.EDIT, Act.PICK, Act.MODE])
def test_the_last_word_holds(samples, decide, standing, act: Act) -> None:
    decide(samples[0], Act.REJECT)
    decide(samples[1], act)
    assert standing() == list(samples)
    decide(samples[0], Act.REJECT)
    assert standing() == [samples[2]]


@pytest.mark.parametrize("act", [Act.SKIP, Act.FLAG, Act.TAG])
def test_who_skips_flags_or_tags_a_rejected_sample_leaves_it_rejected(samples, decide, standing, act: Act) -> None:
    decide(samples[0], Act.REJECT)
    decide(samples[0], act)
    assert standing() == [samples[2]]


def test_an_undone_decision_gives_way_to_the_one_before(registry, samples, decide, standing) -> None:
    decide(samples[0], Act.REJECT)
    accepted = decide(samples[0], Act.ACCEPT)
    assert standing() == list(samples)
    decide(samples[0], Act.UNDO, undoes=accepted)
    assert standing() == [samples[2]]
    with registry.engine.connect() as connection:
        [last] = connection.execute(text(LAST_DECISIONS)).all()
    assert (last.act, bytes(last.sample_hash)) == ("reject", sha256(a_query("one").hash))


def test_a_rejection_that_was_undone_keeps_nothing_out(samples, decide, standing) -> None:
    decide(samples[0], Act.UNDO, undoes=decide(samples[0], Act.REJECT))
    assert standing() == list(samples)
