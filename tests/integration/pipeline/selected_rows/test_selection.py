"""What a snapshot takes of a run, as the registry plans it: the bytes that the same rows at hand would give."""

import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kat_data.domain.decision import Act
from kat_data.errors import SnapshotError, UserError
from kat_data.hashing import content_hash
from kat_data.pipeline.selected_rows import select_rows
from kat_data.registry import migrate
from kat_data.registry.session import Registry
from kat_data.snapshots.build.write import Written, write_snapshot
from kat_data.snapshots.read import open_snapshot
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.verify.verify import verify
from kat_data.testing.stored_run import RUN, Accepted, an_accepted, store_run

pytestmark = pytest.mark.integration

Build = Callable[..., Written]
SHARD_BYTES = 8_000
_numbers = count(1)


@pytest.fixture
def another(postgres_url: str) -> Iterator[Registry]:
    """A second registry on the same server."""
    name = f"another_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        url = postgres_url.replace("/postgres?", f"/{name}?")
        migrate.upgrade(url)
        with Registry(url) as registry:
            yield registry
        connection.execute(f"drop database {name} with (force)")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ids_of(written: Written, split: str | None = None) -> set[str]:
    return {row["id"] for row in open_snapshot(written.path).rows(split)}


def some() -> list[Accepted]:
    """Samples of one turn and of two, two of one query, and the same sample of two queries."""
    found = [an_accepted(number, turns=1 + number % 2) for number in range(60)]
    found += [an_accepted(60, number=number, answer=f"{number}") for number in range(3)]
    return [*found, an_accepted(61), an_accepted(61, said="I say:", difficulty=9.0)]


def test_the_plan_of_a_registry_gives_the_bytes_of_rows_at_hand(
    registry: Registry, build: Build, spec_of: Any, tmp_path: Path
) -> None:
    store_run(registry, some())
    planned = build()
    rows = [one.row for one in some()]
    random.Random(3).shuffle(rows)
    given = write_snapshot(tmp_path / "given", spec_of(), {"train": rows}, shard_bytes=SHARD_BYTES)
    assert contents(planned.path) == contents(given.path)
    assert len(planned.manifest.hashed.shards) > 3
    assert (planned.manifest.hashed.rows, planned.manifest.hashed.duplicates) == (64, 1)
    assert verify(planned.path).problems == ()


def test_two_registries_give_the_same_bytes(registry: Registry, another: Registry, build: Build) -> None:
    store_run(registry, some())
    found = some()
    random.Random(5).shuffle(found)
    store_run(another, sorted(found, key=lambda one: one.number), rendered=False)
    splits = {"validation": 0.1, "test": 7}
    first, second = build("here", splits=splits), build("there", within=another, splits=splits)
    assert contents(first.path) == contents(second.path)


def test_the_weakest_turn_gives_the_verdict(registry: Registry, build: Build) -> None:
    found = [
        an_accepted(1),
        an_accepted(2, turns=2, opinions=(True, False)),
        an_accepted(3, opinions=(True,)),
        an_accepted(4),
        an_accepted(4, number=1, answer="other", opinions=(True,)),
    ]
    store_run(registry, found)
    stored = {row["id"]: row["verdict"] for row in open_snapshot(build().path).rows()}
    verified = {"verifier": "math/2", "outcome": "correct", "status": "correct"}
    endorsed = {"verifier": "panel", "outcome": "correct", "status": "endorsed"}
    assert [stored[one.row.id] for one in found] == [verified, endorsed, endorsed, verified, endorsed]


def test_older_samples_are_rendered_once(registry: Registry, build: Build) -> None:
    store_run(registry, some(), rendered=False)
    first = build("first")
    with registry.connection() as connection:
        texts = dict(connection.execute("SELECT id, rendered FROM samples"))
    assert sum(text is not None for text in texts.values()) == first.manifest.hashed.rows
    assert contents(build("second").path) == contents(first.path)


def test_samples_are_rendered_anew_for_another_stage_of_training(registry: Registry, build: Build) -> None:
    store_run(registry, some())
    second, first = build("second"), build("first", stage=TrainingStage.STAGE1)
    assert verify(first.path).problems == ()
    assert ids_of(first) == ids_of(second)
    assert contents(build("again").path) == contents(second.path)


def test_what_is_withdrawn_or_rejected_stays_out(registry: Registry, build: Build) -> None:
    found = [an_accepted(number) for number in range(12)]
    store_run(registry, found)
    before = ids_of(build("before"))
    withdrawn, rejected = found[3], found[7]
    with registry.connection() as connection:
        connection.execute("INSERT INTO withdrawals (kind, reason, decided_by) VALUES ('takedown', 'asked for', 'me')")
        connection.execute(
            "INSERT INTO withdrawn_queries (query_id, withdrawal_id) SELECT id, 1 FROM queries WHERE hash = %s",
            [withdrawn.query.hash],
        )
        connection.execute(
            "INSERT INTO decisions (event, sample_id, sample_hash, curator, act)"
            " SELECT 'e', id, hash, 'me', %s FROM samples WHERE hash = %s",
            [Act.REJECT, content_hash(rejected.sample)],
        )
    assert before - ids_of(build("after")) == {withdrawn.row.id, rejected.row.id}


def test_a_mixture_takes_the_first_of_each_stratum(
    registry: Registry, build: Build, spec_of: Any, tmp_path: Path
) -> None:
    names = ("category=math", "mode=think_on")
    found = [an_accepted(number) for number in range(60)]
    found = [an_accepted(n, stratum=_stratum(one, names)) for n, one in enumerate(found)]
    store_run(registry, found)
    recipe = {"stages": [{"select": {"counts": {"category=math": 4, "mode=think_on": 6}}}]}
    planned = build(recipe=recipe)
    rows = [one.row for one in found]
    given = write_snapshot(tmp_path / "given", spec_of(recipe=recipe), {"train": rows}, shard_bytes=SHARD_BYTES)
    assert contents(planned.path) == contents(given.path)
    assert (planned.manifest.hashed.rows, planned.surplus) == (10, 50)
    with pytest.raises(SnapshotError, match="the mixture selects none"):
        build("none", recipe={"stages": [{"select": {"counts": {"category=math": 0}}}]})


def _stratum(one: Accepted, names: tuple[str, ...]) -> str:
    if one.query.category == "math":
        return names[0]
    return names[1] if one.sample.mode == "think_on" else ""


def test_splits_part_no_query_cluster_meaning_or_document(registry: Registry, build: Build) -> None:
    found = [an_accepted(number, document=f"page {number // 4}" if number < 40 else None) for number in range(120)]
    found += [an_accepted(1_000 + n, number=number, answer=f"{number}") for n in range(20) for number in range(2)]
    store_run(registry, found)
    with registry.connection() as connection:
        ids = dict(connection.execute("SELECT hash, id FROM queries").fetchall())
        of = {n: ids[one.query.hash] for n, one in enumerate(found)}
        near = [(of[40 + n], of[60 + n]) for n in range(10)] + [(of[3], of[4])]  # which joins two documents
        for one, other in near:
            connection.execute("INSERT INTO clusters (representative) VALUES (%s)", [one])
            connection.execute(
                "INSERT INTO cluster_members (query_id, cluster_id) SELECT unnest(%s::bigint[]), max(id) FROM clusters",
                [[one, other]],
            )
        connection.execute("INSERT INTO embedders (model, revision) VALUES ('m', '1')")
        meaning = [(of[80 + n], of[80 + n // 3 * 3]) for n in range(30)]
        for one, other in meaning:
            connection.execute("INSERT INTO semantic_clusters VALUES (%s, %s, 1, %s, 1.0)", [RUN, one, other])
    written = build(splits={"validation": 0.1, "test": 20})
    side = {ident: split for split in ("train", "validation", "test") for ident in ids_of(written, split)}
    assert len(side) == len(found) == 160
    assert written.manifest.splits == {"train": 124, "test": 20, "validation": 16}
    assert written.manifest.hashed.splits == {"test": 20, "validation": 0.1}
    by_query = {ids[one.query.hash]: set[str]() for one in found}
    by_document: dict[Any, set[str]] = {}
    for one in found:
        by_query[ids[one.query.hash]].add(side[one.row.id])
        if one.query.document:
            by_document.setdefault(one.query.document, set()).add(side[one.row.id])
    assert all(len(sides) == 1 for sides in [*by_query.values(), *by_document.values()])
    assert all(by_query[one] == by_query[other] for one, other in [*near, *meaning])
    assert by_document["page 0"] == by_document["page 1"]
    assert verify(written.path).problems == ()


def test_splits_that_cannot_be_are_refused(registry: Registry, build: Build) -> None:
    store_run(registry, [an_accepted(number, document="the only one") for number in range(10)])
    with pytest.raises(SnapshotError, match="the split test stays empty: what belongs together has more rows"):
        build(splits={"test": 2})
    with pytest.raises(SnapshotError, match="the splits ask for 10 rows of 10, and leave none to train on"):
        build(splits={"test": 10})


def test_what_is_noted_is_what_the_snapshot_holds(registry: Registry, spec_of: Any) -> None:
    """Also where some of it was withdrawn while it was written: those are to be found."""
    store_run(registry, some())
    note = {"name": "demo", "version": 1, "path": "/somewhere", "manifest": "{}"}
    with select_rows(registry, RUN, spec_of(), lambda *_: None) as plan, registry.connection(autocommit=True) as other:
        other.execute("INSERT INTO withdrawals (kind, reason, decided_by) VALUES ('takedown', 'asked for', 'me')")
        other.execute("INSERT INTO withdrawn_queries (query_id, withdrawal_id) SELECT id, 1 FROM queries LIMIT 3")
        plan.selection.note(hash_=b"hash", **note)
        assert other.execute("SELECT count(*) FROM snapshot_rows").fetchone() == (len(some()),)
        with pytest.raises(UserError, match="demo@1 is another snapshot in this registry"):
            plan.selection.note(hash_=b"other", **note)
