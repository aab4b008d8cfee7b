"""Benchmarks in the registry: queries that hold an item are found once, and leave a run unless they were allowed."""

import pytest
from sqlalchemy import text

from kat_data.clock import SystemClock
from kat_data.domain.contamination import ItemKind, MatchKind
from kat_data.domain.query import Query
from kat_data.errors import BudgetExhausted, InputError, NotFoundError, UserError
from kat_data.executors.local import execute_run
from kat_data.pipeline import decontamination
from kat_data.pipeline.decontamination import METHOD, check_queries
from kat_data.pipeline.publish import publish_run
from kat_data.registry import benchmarks
from kat_data.registry.hash_prefix import BETWEEN, hash_range
from kat_data.registry.session import Registry
from kat_data.snapshots.verify.verify import verify
from kat_data.testing import a_query

pytestmark = pytest.mark.integration

ITEM = (
    "A farmer has seventeen crates of apples with twenty-four apples in each, sells nine crates on Monday and a third "
    "of the rest on Tuesday. How many apples are left for Wednesday?"
)
CLEAN = a_query("A tank holds 480 litres and loses 7 litres each hour. After how many hours is it half empty?")
HELD = a_query(f"Please solve this carefully.\n\n{ITEM}")


@pytest.fixture
def farm(registry: Registry) -> Registry:
    benchmarks.add_items(registry, "farm", [(1, ItemKind.PROSE, ITEM), (2, ItemKind.PROSE, "What is 23 + 42?")])
    return registry


def hits(registry: Registry, query: Query) -> list[tuple[str, MatchKind]]:
    with registry.engine.connect() as connection:
        ident = benchmarks._query(connection, query.hash.hex()[:12])
        return [(hit.benchmark, hit.kind) for hit in benchmarks.hits_of_query(connection, ident)]


def test_hits_are_found_once_and_kept_with_their_spans(farm: Registry, add_queries) -> None:
    add_queries(CLEAN, HELD)
    assert check_queries(farm) == 2
    assert check_queries(farm) == 0
    with farm.engine.connect() as connection:
        [hit] = benchmarks.hits_of_query(connection, benchmarks._query(connection, HELD.hash.hex()))
        assert benchmarks.report(connection) == [
            {"source": "test", "benchmark": "farm", "rows": 1, "exact": 0, "ngram": 1, "short": 0}
        ]
    start, end = hit.query_span
    assert HELD.user_turns[0][start:end].startswith("A farmer has seventeen")
    assert (hit.item, hit.line) == (ITEM, 1)
    assert hits(farm, CLEAN) == []


def test_new_queries_and_new_items_are_checked(farm: Registry, add_queries) -> None:
    add_queries(CLEAN)
    assert check_queries(farm) == 1
    add_queries(HELD)
    assert check_queries(farm) == 1
    assert hits(farm, HELD) == [("farm", MatchKind.NGRAM)]
    added = benchmarks.add_items(farm, "tanks", [(1, ItemKind.PROSE, CLEAN.user_turns[0])])
    assert (added.added, added.duplicates) == (1, 0)
    assert check_queries(farm) == 2
    assert hits(farm, CLEAN) == [("tanks", MatchKind.EXACT)]
    assert benchmarks.add_items(farm, "tanks", [(9, ItemKind.PROSE, CLEAN.user_turns[0])]).duplicates == 1
    assert check_queries(farm) == 0


def test_a_query_whose_import_is_under_way_is_waited_for(farm: Registry, overtaken) -> None:
    overtaken(HELD, by=CLEAN, work=check_queries)
    assert hits(farm, HELD) == [("farm", MatchKind.NGRAM)]
    assert check_queries(farm) == 0


def test_items_that_come_during_a_check_are_looked_for_too(
    farm: Registry, add_queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kat_data.pipeline.decontamination._AT_ONCE", 1)
    add_queries(CLEAN, HELD)
    added = []

    def import_more(done: int, total: int) -> None:
        if not added:
            added.append(benchmarks.add_items(farm, "tanks", [(1, ItemKind.PROSE, CLEAN.user_turns[0])]))

    assert check_queries(farm, import_more) == 3  # the first query once more
    assert hits(farm, CLEAN) == [("tanks", MatchKind.EXACT)]
    assert hits(farm, HELD) == [("farm", MatchKind.NGRAM)]


def test_a_person_overrules(farm: Registry, add_queries) -> None:
    add_queries(HELD)
    check_queries(farm)
    with farm.engine.begin() as connection:
        key = HELD.hash.hex()[:10]
        assert benchmarks.allow(connection, key, benchmark="farm", reason="our own text", by="me") == 1
        assert benchmarks.report(connection) == []
        with pytest.raises(NotFoundError, match="no benchmark nowhere"):
            benchmarks.allow(connection, key, benchmark="nowhere", reason="-", by="me")
        with pytest.raises(NotFoundError, match="no query has a hash"):
            benchmarks.allow(connection, "f" * 20, benchmark=None, reason="-", by="me")
        with pytest.raises(InputError, match="at least six digits"):
            benchmarks.allow(connection, "f%", benchmark=None, reason="-", by="me")


def test_single_hits_are_listed_by_the_hash_that_allow_takes(farm: Registry, add_queries) -> None:
    add_queries(CLEAN, HELD)
    check_queries(farm)
    with farm.engine.begin() as connection:
        [hit] = benchmarks.list_hits(connection, None, 10)
        assert (hit["query"], hit["benchmark"], hit["line"], hit["kind"]) == (HELD.hash.hex(), "farm", 1, "ngram")
        assert benchmarks.list_hits(connection, "other", 10) == []
        benchmarks.allow(connection, hit["query"], benchmark="farm", reason="ours", by="me")
        assert benchmarks.list_hits(connection, None, 10) == []


def test_a_removed_benchmark_takes_its_hits_along(farm: Registry, add_queries) -> None:
    add_queries(HELD)
    check_queries(farm)
    with farm.engine.begin() as connection:
        benchmarks.remove(connection, "farm")
        assert benchmarks.list_benchmarks(connection) == []
    assert hits(farm, HELD) == []


def test_another_method_checks_anew(farm: Registry, add_queries, monkeypatch: pytest.MonkeyPatch) -> None:
    add_queries(HELD)
    check_queries(farm)
    monkeypatch.setattr("kat_data.pipeline.decontamination.METHOD", "another/1")
    assert check_queries(farm) == 1
    assert hits(farm, HELD) == [("farm", MatchKind.NGRAM)]


async def test_a_run_drops_what_a_benchmark_holds(
    registry: Registry, lean, run, look, add_queries, easy_queries
) -> None:
    add_queries(*easy_queries)
    plain = lean(stages=["normalise", "decontaminate", *lean()["stages"][1:]])
    with pytest.raises(UserError, match="There is no benchmark: `kat benchmarks import"):
        await run(plain)
    held = easy_queries[3]
    benchmarks.add_items(registry, "copied", [(1, ItemKind.PROSE, held.user_turns[0])])
    finished = await run(plain)
    assert look.ends(finished.id) == {"accepted": 11, "dropped": 1}
    assert look.reasons(finished.id) == {"contaminated"}


async def test_another_set_of_benchmarks_is_another_run_and_allowing_a_hit_too(
    farm: Registry, add_queries, lean, run
) -> None:
    add_queries(*(a_query(f"What is {n} + {n}?", reference=str(2 * n)) for n in (3, 4)), HELD)
    plain = lean(stages=["normalise", "decontaminate", *lean()["stages"][1:]])
    first = await run(plain)
    assert (await run(plain)).id == first.id
    benchmarks.add_items(farm, "tanks", [(1, ItemKind.PROSE, CLEAN.user_turns[0])])
    second = await run(plain)
    with farm.engine.begin() as connection:
        benchmarks.allow(connection, HELD.hash.hex(), benchmark="farm", reason="ours", by="me")
    third = await run(plain)
    assert len({first.id, second.id, third.id}) == 3
    assert set(third.context["benchmarks"]) == {"farm", "tanks"}


async def test_a_benchmark_that_is_not_there_is_named(farm: Registry, add_queries, lean, run) -> None:
    add_queries(HELD)
    plain = lean(stages=["normalise", {"decontaminate": {"benchmarks": ["fram"]}}, *lean()["stages"][1:]])
    with pytest.raises(UserError, match="there is no benchmark `fram`: did you mean `farm`"):
        await run(plain)


async def test_a_run_does_not_go_on_with_other_benchmarks(farm: Registry, add_queries, lean, run, look) -> None:
    add_queries(*(a_query(f"What is {n} + {n}?", reference=str(2 * n)) for n in (3, 4)), HELD)
    plain = lean(stages=["normalise", "decontaminate", *lean()["stages"][1:]], budget={"usd": 0.0})
    with pytest.raises(BudgetExhausted):
        await run(plain)
    [row] = look.runs()
    benchmarks.add_items(farm, "tanks", [(1, ItemKind.PROSE, CLEAN.user_turns[0])])
    with pytest.raises(UserError, match=r"the benchmarks \(tanks\) have changed since run"):
        await execute_run(farm, row)


async def test_the_snapshot_states_how_well_it_works(farm: Registry, add_queries, lean, run, tmp_path) -> None:
    add_queries(*(a_query(f"What is {n} + {n}?", reference=str(2 * n)) for n in (3, 4)), HELD)
    row = await run(lean(stages=["normalise", "decontaminate", *lean()["stages"][1:]]))
    written = publish_run(farm, tmp_path, row.id, name="t", partial=False, clock=SystemClock())
    stated = written.manifest.unhashed.decontamination
    assert stated["method"] == METHOD
    assert stated["queries"] > stated["held"] > 700
    assert min(stated["recall"], stated["precision"]) >= 0.99
    assert verify(written.path).problems == ()


def test_the_newest_word_on_a_query_and_a_benchmark_stays(farm: Registry, add_queries) -> None:
    add_queries(HELD)
    check_queries(farm)
    for benchmark in ("farm", None):
        for reason in ("ours", "ours, and so it says"):
            with farm.engine.begin() as connection:
                benchmarks.allow(connection, HELD.hash.hex(), benchmark=benchmark, reason=reason, by="me")
    with farm.connection() as connection:
        assert connection.execute("SELECT DISTINCT reason, count(*) FROM allowances GROUP BY reason").fetchall() == [
            ("ours, and so it says", 2)
        ]


def test_batches_are_bound_by_the_size_of_their_texts(farm: Registry, add_queries, monkeypatch) -> None:
    add_queries(HELD, CLEAN, a_query("What is 2 + 3?"))
    with farm.engine.connect() as connection:
        through = connection.exec_driver_sql("SELECT max(id) FROM queries").scalar_one()
        sizes = [
            len(benchmarks.next_unchecked(connection, through, limit, characters))
            for limit, characters in ((10, 10_000), (10, 1), (2, 10_000))
        ]
    assert sizes == [3, 1, 2]
    monkeypatch.setattr(decontamination, "_CHARACTERS", 1)
    batches: list[int] = []
    assert check_queries(farm, lambda done, _: batches.append(done)) == 3
    assert batches == [1, 2, 3]
    assert hits(farm, HELD)


def test_a_hash_is_looked_up_by_the_index_whatever_is_given_of_it(farm: Registry, add_queries) -> None:
    add_queries(HELD, CLEAN)
    whole = HELD.hash.hex()
    with farm.engine.connect() as connection:
        found = {benchmarks._query(connection, start) for start in (whole, whole[:6], whole[:9].upper())}
        assert len(found) == 1
        connection.exec_driver_sql("SET enable_seqscan = off")
        sql = f"EXPLAIN SELECT id FROM queries WHERE hash {BETWEEN} LIMIT 2"
        plan = "\n".join(connection.execute(text(sql), hash_range(whole[:9])).scalars())
    assert "uq_queries_hash" in plan
    assert "Index Cond" in plan
