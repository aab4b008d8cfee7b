"""Why rows of two snapshots differ: every reason that a registry can know, from real runs and people's acts."""

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from kat_data.clock import SystemClock
from kat_data.domain.category import Category
from kat_data.domain.change import ChangeKind, ChangeReason
from kat_data.domain.contamination import ItemKind
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.pipeline.difference import Comparison, ShownRow, compare_snapshots, shown_rows
from kat_data.pipeline.publish import publish_run
from kat_data.registry import benchmarks, withdrawals
from kat_data.registry.session import Registry
from kat_data.registry.withdrawals import Why
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient, reply_to

pytestmark = pytest.mark.integration

Plain = dict[str, Any]
Publish = Callable[[Plain], Awaitable[Snapshot]]

SPEC = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["result"]})
TOPIC = "Write a short poem about the sea in winter and the gulls above it, with a result at its very end"
ITEM = (
    "A farmer has seventeen crates of apples with twenty-four apples in each, sells nine crates on Monday and a third "
    "of the rest on Tuesday. What is the result for Wednesday?"
)


def task(words: str, **fields: Any) -> Query:
    return a_query(words, reference=None, verifier=SPEC, **fields)


PLAIN = tuple(task(f"Tell me of the result {n}.") for n in range(4))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what was measured of the verifiers is kept, for all snapshots."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def build(registry: Registry, tmp_path: Path, home: Path) -> Callable[[int], Snapshot]:
    """Publish a run as it stands."""

    def build_(run: int) -> Snapshot:
        written = publish_run(registry, tmp_path, run, name="demo", partial=True, clock=SystemClock(), home=home)
        return open_snapshot(written.path)

    return build_


@pytest.fixture
def publish(run, build) -> Publish:
    """Run a recipe to its end, and publish what it brings."""

    async def publish_(plain: Plain) -> Snapshot:
        return build((await run(plain)).id)

    return publish_


@pytest.fixture
def compare(registry: Registry) -> Callable[[Snapshot, Snapshot], tuple[Comparison, list[ShownRow]]]:
    def compare_(before: Snapshot, after: Snapshot) -> tuple[Comparison, list[ShownRow]]:
        with registry.engine.connect() as connection:
            found = compare_snapshots(connection, before, after)
            return found, list(shown_rows(connection, found, 100))

    return compare_


@pytest.fixture
def reasons(compare) -> Callable[[Snapshot, Snapshot], Counter[tuple[str, str]]]:
    """Return how many rows changed for which reason; both ways round, they are as many."""

    def reasons_(before: Snapshot, after: Snapshot) -> Counter[tuple[str, str]]:
        found, shown = compare(before, after)
        assert found.unknown == ()
        counts = Counter((one.row.kind.value, one.row.reason.value) for one in shown)
        assert counts == Counter({(c.kind.value, c.reason.value): c.rows for c in found.rows.counted()})
        return counts

    return reasons_


def with_stage(plain: Plain, stage: str | Plain) -> Plain:
    return plain | {"stages": [plain["stages"][0], stage, *plain["stages"][1:]]}


def details(compare, before: Snapshot, after: Snapshot) -> list[str]:
    return [one.detail for one in compare(before, after)[1]]


def decide(registry: Registry, sample: str, act: str, event: str, undoes: int | None = None) -> int:
    with registry.engine.begin() as connection:
        sql = """
            INSERT INTO decisions (event, sample_id, sample_hash, curator, act, note, undoes)
            SELECT :event, id, hash, 'ann', :act, 'too short', :undoes FROM samples WHERE hash = :hash RETURNING id
        """
        values = {"event": event, "act": act, "hash": bytes.fromhex(sample), "undoes": undoes}
        return int(connection.execute(text(sql), values).scalar_one())


async def test_near_duplicates_are_told_with_what_stays(lean, add_queries, publish, reasons, compare) -> None:
    add_queries(
        *PLAIN, *(task(f"{TOPIC}, {TOPIC.lower()}{end}", category=Category.GENERAL) for end in ("", ", please"))
    )
    before = await publish(lean())
    after = await publish(with_stage(lean(), "deduplicate"))
    assert reasons(before, after) == {("removed", "near_duplicate"): 1}
    assert reasons(after, before) == {("added", "near_duplicate"): 1}
    [detail] = details(compare, before, after)
    assert detail.startswith("dropped at deduplicate of run 2: of query ")


async def test_semantic_duplicates(lean, add_queries, publish, reasons, compare) -> None:
    add_queries(*(task(TOPIC + end, category=Category.GENERAL) for end in ("", ", please", ", kindly")))
    before = await publish(lean())
    plain = lean()
    plain["models"]["vectors"] = {"endpoint": "scripted", "model": "vectors", "price": {"prompt": 1.0}}
    plain["roles"] = plain["roles"] | {"embedder": [{"model": "vectors"}]}
    after = await publish(with_stage(plain, {"cluster": {"threshold": 0.8}}))
    assert reasons(before, after) == {("removed", "semantic_duplicate"): 2}
    told = details(compare, before, after)
    assert all(detail.startswith("dropped at cluster of run 2: ") for detail in told)


async def test_decontamination_names_the_benchmarks_item(
    registry, lean, add_queries, publish, reasons, compare
) -> None:
    held = task(f"Please solve this carefully.\n\n{ITEM}")
    add_queries(*PLAIN, held)
    benchmarks.add_items(registry, "farm", [(7, ItemKind.PROSE, ITEM)])
    before = await publish(with_stage(lean(), "decontaminate"))
    with registry.engine.begin() as connection:
        benchmarks.allow(connection, held.hash.hex(), benchmark="farm", reason="ours came first", by="ann")
    after = await publish(with_stage(lean(), "decontaminate"))
    assert reasons(before, after) == {("added", "decontamination"): 1}
    assert reasons(after, before) == {("removed", "decontamination"): 1}
    [detail] = details(compare, before, after)
    assert "ngram match with farm, line 7: " in detail
    assert detail.endswith("; allowed by ann: ours came first")


async def test_what_is_withdrawn_and_what_is_not_any_more(
    registry, lean, add_queries, run, build, reasons, compare
) -> None:
    add_queries(*PLAIN)
    add_queries(task("Tell me of another result."), source="theirs")
    row = await run(lean())
    before = build(row.id)
    with registry.engine.begin() as connection:
        why = Why(reason="they asked us to", by="ben")
        withdrawn = withdrawals.withdraw_source(connection, "theirs", why)
    after = build(row.id)
    assert reasons(before, after) == {("removed", "withdrawn"): 1}
    assert details(compare, before, after) == ["other, by ben: they asked us to"]
    with registry.engine.begin() as connection:
        withdrawals.undo(connection, withdrawn.id, why)
    again = build(row.id)
    assert again.path == before.path


async def test_decisions_count_as_they_stood_when_it_was_built(
    registry, lean, add_queries, run, build, reasons, compare
) -> None:
    add_queries(*PLAIN)
    row = await run(lean())
    first = build(row.id)
    ids = sorted(record["id"] for record in first.rows())
    rejection = decide(registry, ids[0], "reject", "1")
    second = build(row.id)
    assert reasons(first, second) == {("removed", "review"): 1}
    assert details(compare, first, second) == ["reject by ann: too short"]
    decide(registry, ids[0], "undo", "2", undoes=rejection)
    decide(registry, ids[1], "reject", "3")
    third = build(row.id)
    assert reasons(second, third) == {("added", "review"): 1, ("removed", "review"): 1}
    assert reasons(first, third) == {("removed", "review"): 1}


async def test_the_act_that_is_told_is_the_one_that_held(
    registry, lean, add_queries, run, build, reasons, compare
) -> None:
    add_queries(*PLAIN)
    add_queries(task("Tell me of another result."), source="theirs")
    row = await run(lean())
    before = build(row.id)
    decided = min(record["id"] for record in before.rows() if record["source"] == "test")
    decide(registry, decided, "reject", "1")
    acceptance = decide(registry, decided, "accept", "2")
    decide(registry, decided, "undo", "3", undoes=acceptance)
    for reason in ("by mistake", "they asked us to"):
        with registry.engine.begin() as connection:
            why = Why(reason=reason, by="ben")
            done = withdrawals.withdraw_source(connection, "theirs", why)
            if reason == "by mistake":
                withdrawals.undo(connection, done.id, why)
    after = build(row.id)
    assert reasons(before, after) == {("removed", "review"): 1, ("removed", "withdrawn"): 1}
    assert sorted(details(compare, before, after)) == ["other, by ben: they asked us to", "reject by ann: too short"]


async def test_another_verdict_on_the_same_answer(registry, lean, add_queries, publish, reasons, compare) -> None:
    add_queries(*PLAIN)
    before = await publish(lean())
    with registry.engine.begin() as connection:
        sql = """
            UPDATE queries SET verifier = '{"kind": "keyword", "options": {"keywords": ["never said"]}}'
            WHERE id = (SELECT min(id) FROM queries)
        """
        connection.execute(text(sql))
    after = await publish(with_stage(lean(), "deduplicate"))  # a stage that drops nothing: the same calls
    assert reasons(before, after) == {("removed", "verdict"): 1}
    assert reasons(after, before) == {("added", "verdict"): 1}
    [detail] = details(compare, before, after)
    assert "correct in run 1; " in detail
    assert "incorrect in run 2" in detail


async def test_a_recipe_that_asks_otherwise_is_named_by_what_differs(
    lean, add_queries, publish, reasons, compare
) -> None:
    add_queries(*PLAIN)
    before = await publish(lean())
    after = await publish(lean(seed=6))
    assert set(reasons(before, after)) <= {("changed", "recipe"), ("changed", "mode")}
    told = [one.detail for one in compare(before, after)[1] if one.row.reason is ChangeReason.RECIPE]
    assert set(told) == {"seed"}


async def test_a_run_that_drops_the_query_says_why(server, lean, add_queries, publish, reasons, compare) -> None:
    add_queries(*PLAIN)
    before = await publish(lean())

    def silent(body: Plain) -> Any:
        asks = "result 2" in body["messages"][-1]["content"] and not body.get("response_format")
        return reply_to(body, "I do not know.") if asks else obedient(body)

    server._script = silent
    after = await publish(lean(seed=6))
    counts = reasons(before, after)
    assert counts[("removed", "dropped")] == 1
    [gone] = [one for one in compare(before, after)[1] if one.row.kind is ChangeKind.REMOVED]
    assert gone.row.drop == "wrong_answer"
    assert gone.detail.startswith("dropped at ")


async def test_another_call_of_the_same_recipe(server, registry, lean, add_queries, publish, reasons) -> None:
    add_queries(*PLAIN)
    before = await publish(lean())
    with registry.engine.begin() as connection:
        connection.execute(text("DELETE FROM calls"))
    server._script = lambda body: (
        obedient(body) if body.get("response_format") else reply_to(body, "Few steps.\n\nIt is another result.")
    )
    after = await publish(lean(queries={"categories": ["math"]}))
    assert reasons(before, after) == {("changed", "answer"): 4}


async def test_another_judge_analysis_of_the_same_answers(
    server, registry, lean, add_queries, publish, reasons
) -> None:
    add_queries(*PLAIN)
    plain = lean()
    plain["models"]["two"] = plain["models"]["one"] | {"model": "two"}
    before = await publish(plain)
    server._script = lambda body: obedient(body | {"seed": 99}) if body["model"] == "two" else obedient(body)
    after = await publish(plain | {"roles": plain["roles"] | {"judge": [{"model": "two", "max_tokens": 200}]}})
    counts = reasons(before, after)
    assert counts[("changed", "judge_analysis")] > 0
    assert set(counts) <= {("changed", "judge_analysis"), ("changed", "remade")}  # some are the same all the same


async def test_modes_queries_and_mixtures(registry, lean, add_queries, publish, reasons, compare) -> None:
    add_queries(*PLAIN)
    plain = lean()
    before = await publish(plain)
    plain["stages"][1] = {"vote_mode": {"random_share": 1}}
    turned = await publish(plain)
    counts = reasons(before, turned)
    assert counts[("changed", "mode")] > 0
    assert set(counts) <= {("changed", "mode"), ("changed", "remade")}
    few = await publish(with_stage(lean(), {"select": {"counts": {"category=math": 3}}}))
    assert reasons(before, few) == {("removed", "mixture"): 1}
    add_queries(task("Tell me of the newest result."))
    more = await publish(lean())
    assert reasons(before, more) == {("added", "new_query"): 1}
    [detail] = details(compare, before, more)
    assert detail.startswith("imported 2")


async def test_what_a_recipe_does_not_choose(lean, add_queries, publish, reasons, compare) -> None:
    add_queries(*PLAIN)
    add_queries(task("Tell me of another result."), source="theirs", licence="House rules")
    add_queries(task("Tell me of the code result.", category=Category.CODE))
    before = await publish(lean())
    licensed = await publish(lean(queries={"licences": ["Apache-2.0"]}))
    assert reasons(before, licensed) == {("removed", "licence"): 1}
    chosen = await publish(lean(queries={"sources": ["test"], "categories": ["math"]}))
    assert reasons(before, chosen) == {("removed", "recipe"): 2}
    assert details(compare, before, chosen) == ["queries.categories, queries.sources"] * 2
    limited = await publish(lean(queries={"limit": 5}))
    assert reasons(before, limited) == {("removed", "recipe"): 1}


async def test_labels_measured_anew(registry, lean, add_queries, run, build, reasons, compare) -> None:
    add_queries(*PLAIN)
    row = await run(lean())
    before = build(row.id)
    with registry.engine.begin() as connection:
        sql = """
            INSERT INTO tag_summaries (run_id, query_id, difficulty, spread, domain, verifiable)
            SELECT run_id, query_id, 7.5, 0, '', true FROM samples ORDER BY id LIMIT 1
        """
        connection.execute(text(sql))
    after = build(row.id)
    assert reasons(before, after) == {("changed", "rescored"): 1}
    assert details(compare, before, after) == ["difficulty none → 7.5"]


async def test_what_was_not_ready_yet(registry, lean, add_queries, run, build) -> None:
    add_queries(*PLAIN)
    row = await run(lean())
    whole = build(row.id)
    with registry.engine.begin() as connection:
        connection.execute(text("DELETE FROM snapshot_rows"))
        connection.execute(text("DELETE FROM snapshots"))
        connection.execute(text("DELETE FROM samples WHERE id = (SELECT max(id) FROM samples)"))
        connection.execute(
            text("UPDATE work_items SET state = 'dead' WHERE query_id NOT IN (SELECT query_id FROM samples)")
        )
    partial = build(row.id)
    with registry.engine.connect() as connection:
        found = compare_snapshots(connection, whole, partial)
    counts = [(one.kind, one.reason, one.rows) for one in found.rows.counted()]
    assert counts == [(ChangeKind.REMOVED, ChangeReason.UNFINISHED, 1)]
    assert found.unknown == ("demo@1",)


async def test_what_the_registry_did_not_build_it_says_so(registry, lean, add_queries, publish) -> None:
    add_queries(*PLAIN)
    before = await publish(lean())
    add_queries(task("Tell me of the newest result."))
    after = await publish(lean())
    with registry.engine.begin() as connection:
        connection.execute(text("DELETE FROM snapshot_rows"))
        connection.execute(text("DELETE FROM snapshots"))
    for given in (None, registry.engine.connect()):
        found = compare_snapshots(given, before, after)
        assert found.unknown == ("demo@1", "demo@2")
        assert [(one.kind.value, one.reason.value) for one in found.rows.counted()] == [("added", "unknown")]
        if given is not None:
            given.close()
