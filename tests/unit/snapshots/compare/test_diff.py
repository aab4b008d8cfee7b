"""Differences between two folders: what Python sets find too, in arrays, with what the folders tell of the reasons."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kat_data.domain.change import BY_CODE, OF_DROP, REASONS, ChangeKind
from kat_data.domain.drop import DropReason
from kat_data.domain.mode import Mode
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import SnapshotError
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.compare.changes import NO_DROP
from kat_data.snapshots.compare.columns import numbered
from kat_data.snapshots.compare.diff import difference
from kat_data.snapshots.compare.sides import differing, side_by_side
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import Row, TrainingStage

Build = Callable[..., Snapshot]


@pytest.fixture
def build(tmp_path: Path, make_spec: Callable[..., SnapshotSpec]) -> Build:
    def build_(rows: list[Row], test: list[Row] | None = None, **changes: object) -> Snapshot:
        splits = {"train": rows} | ({"test": test} if test else {})
        return open_snapshot(write_snapshot(tmp_path, make_spec(**changes), splits, shard_bytes=15_000).path)

    return build_


def answered(row: Row, answer: str) -> Row:
    """The same query with another sample."""
    first, *others = row.sample.turns
    return replace(row, sample=replace(row.sample, turns=(replace(first, answer=answer), *others)))


def counts(before: Snapshot, after: Snapshot) -> Counter[tuple[str, str]]:
    found = difference(before, after)
    assert len(found.changes) == sum(one.rows for one in found.counted())
    return Counter({(one.kind.value, one.reason.value): one.rows for one in found.counted()})


def test_nothing_differs_between_a_snapshot_and_itself(build: Build, rows: list[Row]) -> None:
    snapshot = build(rows)
    found = difference(snapshot, snapshot)
    assert (found.kept, len(found.changes), found.counted(), list(found.examples(5))) == (40, 0, [], [])


@pytest.mark.parametrize("seed", range(6))
def test_the_same_rows_differ_as_sets_of_records_say(build: Build, rows: list[Row], seed: int) -> None:
    draw = random.Random(seed)
    rows = [*rows, *(answered(row, f"{n} more") for n, row in enumerate(rows[:15]))]  # two samples of some queries
    old = draw.sample(rows, 40)
    new = [replace(row, domain="other") if draw.random() < 0.3 else row for row in draw.sample(rows, 40)]
    new = [answered(row, f"answer {n}") if draw.random() < 0.3 else row for n, row in enumerate(new)]
    found = difference(before := build(old), after := build(new, name="other"))
    sides = [{row["id"]: row for row in snapshot.rows()} for snapshot in (before, after)]
    both = sides[0].keys() & sides[1].keys()
    relabelled = {one for one in both if sides[0][one] != sides[1][one]}
    gone, come = (Counter(side[one]["query"] for one in side.keys() - both) for side in sides)
    paired = (gone & come).total()
    assert found.kept == len(both) - len(relabelled)
    assert len(found.of(ChangeKind.CHANGED)) == len(relabelled) + paired
    assert len(found.of(ChangeKind.ADDED)) == come.total() - paired
    assert len(found.of(ChangeKind.REMOVED)) == gone.total() - paired
    for row in found.examples(1_000):
        assert (row.before is None, row.after is None) == (row.kind is ChangeKind.ADDED, row.kind is ChangeKind.REMOVED)
        for side, one in zip(sides, (row.before, row.after), strict=True):
            assert one is None or side[one]["query"] == row.query
        if row.before == row.after:
            assert row.labels == {"domain": (sides[0][row.before]["domain"], sides[1][row.after]["domain"])}


def test_what_a_label_means_is_the_reason(build: Build, rows: list[Row]) -> None:
    later = [
        replace(rows[0], difficulty=9.5),
        replace(rows[1], domain="sets", lineage="0" * 64),
        replace(rows[2], licence="House rules"),
        replace(rows[3], source="elsewhere", difficulty=9.5),
        replace(rows[4], lineage="0" * 64),
        replace(rows[5], difficulty=None),
        *rows[6:],
    ]
    before, after = build(rows), build(later)
    assert counts(before, after) == {
        ("changed", "rescored"): 3,
        ("changed", "relabelled"): 1,
        ("changed", "source"): 1,
        ("changed", "remade"): 1,
    }
    found = difference(before, after)
    assert found.counted_labels() == {
        "domain": 1, "source": 1, "licence": 1, "difficulty": 3, "lineage": 2
    }  # fmt: skip
    told = {row.before: row.labels for row in found.examples(10)}
    assert told[rows[0].id] == {"difficulty": (2.0, 9.5)}
    assert told[rows[5].id] == {"difficulty": (7.0, None)}
    assert told[rows[2].id] == {"licence": ("MIT", "House rules")}


def test_another_verdict_outweighs_other_labels(build: Build, rows: list[Row]) -> None:
    undecided = Verdict(outcome=Outcome.UNDECIDED, status=Status.SPLIT_PANEL, verifier="panel/1")
    judged = [replace(rows[0], verdict=undecided, difficulty=9.5), replace(rows[1], verdict=None), *rows[2:]]
    before, after = build(rows), build(judged)
    assert counts(before, after) == {("changed", "verdict"): 2}
    told = {row.before: row.labels["verdict"] for row in difference(before, after).examples(10)}
    assert told[rows[0].id] == ("math/2 correct correct", "panel/1 undecided split_panel")
    assert told[rows[1].id] == ("math/2 correct correct", None)


def test_pass_rates_and_splits_are_labels_too(build: Build, rows: list[Row]) -> None:
    pairs = [row for row in rows if row.verifier]
    before = build(pairs, stage=TrainingStage.STAGE3)
    rated = [replace(pairs[0], pass_rate=0.125), replace(pairs[1], pass_rate=None), *pairs[2:]]
    assert counts(before, build(rated, stage=TrainingStage.STAGE3)) == {("changed", "rescored"): 2}
    split = build(pairs[3:], test=pairs[:3], stage=TrainingStage.STAGE3)
    assert counts(before, split) == {("changed", "split"): 3}
    [example] = difference(before, split).examples(1)
    assert example.labels == {"split": ("train", "test")}


def test_another_sample_of_a_query_is_a_change_and_a_further_one_a_response(build: Build, rows: list[Row]) -> None:
    on = next(row for row in rows if row.mode == Mode.ON and len(row.sample.turns) == 1)
    off = replace(on, sample=replace(on.sample, turns=(replace(on.sample.turns[0], mode=Mode.OFF, thinking=""),)))
    others = [row for row in rows if row is not on]
    before = build([on, *others])
    assert counts(before, build([off, *others])) == {("changed", "mode"): 1}
    assert counts(before, build([answered(on, "seven"), *others])) == {("changed", "unknown"): 1}
    more = build([on, answered(on, "seven"), *others])
    assert counts(before, more) == {("added", "responses"): 1}
    assert counts(more, before) == {("removed", "responses"): 1}


def test_a_recipe_that_names_other_sources_is_the_reason_without_any_registry(build: Build, rows: list[Row]) -> None:
    theirs = [replace(row, source="theirs") for row in rows[:5]]
    before = build([*theirs, *rows[5:]])
    after = build(rows[5:-1], recipe={"queries": {"sources": ["made-up"]}})
    assert counts(before, after) == {("removed", "recipe"): 5, ("removed", "unknown"): 1}


def test_a_changed_shard_and_a_row_too_many_are_refused(build: Build, rows: list[Row], tmp_path: Path) -> None:
    snapshot, other = build(rows), build(rows[:-1])
    shard = snapshot.path / snapshot.manifest.hashed.shards[1].path
    data = shard.read_bytes()
    shard.write_bytes(data[:-20] + bytes(20))
    with pytest.raises(SnapshotError, match="was changed after it was written"):
        difference(snapshot, other)
    shard.write_bytes(data)
    for rows_stated in (39, 41):
        manifest = replace(snapshot.manifest, hashed=replace(snapshot.manifest.hashed, rows=rows_stated))
        with pytest.raises(SnapshotError, match="does not hold what its manifest says"):
            difference(replace(snapshot, manifest=manifest), other)
    twice = snapshot.manifest.hashed.shards
    hashed = replace(snapshot.manifest.hashed, shards=(*twice, *twice), rows=80)
    with pytest.raises(SnapshotError, match="two rows of a snapshot have the same id"):
        difference(replace(snapshot, manifest=replace(snapshot.manifest, hashed=hashed)), other)
    shutil.rmtree(snapshot.path / "data")
    with pytest.raises(SnapshotError, match="No such file"):
        difference(snapshot, other)


def test_hashes_that_begin_alike_are_told_apart() -> None:
    starts = [b"12345678" + bytes([n]) * 24 for n in (1, 2, 0)]
    old, new = np.array(starts, "S32"), np.array([starts[2], starts[0], b"x" * 32], "S32")
    left, right = numbered(old, new)
    assert left.tolist() == [right[1], left[1], right[0]]
    assert len({*left.tolist(), *right.tolist()}) == 4


def test_manifests_stand_side_by_side(build: Build, rows: list[Row]) -> None:
    recipe = {"name": "demo", "seed": 1, "stages": [{"tag": {"k": 1}}, {"verify": {}}]}
    changed = {"name": "demo", "seed": 1, "stages": [{"verify": {}}, {"tag": {"k": 2}}, {"judge_mode": {}}]}
    before, after = build(rows, recipe=recipe), build(rows[:30], recipe=changed, models={"voters": ["small"]})
    sides = side_by_side(before.manifest, after.manifest)
    assert {part.key: (part.before, part.after) for part in sides.recipe} == {
        "models by role.voters": (["small", "smaller"], ["small"]),
        "stages": (["tag", "verify"], ["verify", "tag", "judge_mode"]),
        "stages.judge_mode": (None, {}),
        "stages.tag.k": (1, 2),
    }
    assert [(sum(c.before for c in counts), sum(c.after for c in counts)) for counts in (
        sides.composition, sides.bands, sides.domains, sides.splits, sides.sources, sides.licences
    )] == [(40, 30)] * 6  # fmt: skip
    assert sum(c.before for c in sides.transitions) > sum(c.after for c in sides.transitions) > 0
    facts = {part.key: (part.before, part.after) for part in sides.facts}
    assert facts["parent"] == (None, "demo@1")
    assert facts["rows"] == (40, 30)


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ({}, {}, []),
        ({"a": {}}, {}, ["a"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ["a.b"]),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1, "y": 3}]}, ["a"]),
        ({"a": None}, {}, []),
    ],
)
def test_what_of_nested_mappings_differs(before: dict[str, object], after: dict[str, object], keys: list[str]) -> None:
    assert [part.key for part in differing(before, after)] == keys


def test_every_reason_has_its_sentence_and_fits_an_array() -> None:
    assert len(REASONS) < 256
    assert len(DropReason) < NO_DROP
    assert all(reason.sentence.endswith(".") for reason in REASONS)
    assert BY_CODE.keys() == {reason.value for reason in REASONS}
    assert OF_DROP.keys() == {reason.value for reason in DropReason}
