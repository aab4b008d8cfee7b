"""Near-duplicates in the registry: found once, exactly, by any number of processes, through any kill."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import pytest

from kat_data.dedup.cluster import Clusters, representative
from kat_data.domain.category import Category
from kat_data.domain.query import Query
from kat_data.pipeline import deduplication
from kat_data.pipeline.deduplication import compare_queries, member
from kat_data.pipeline.duplicates import duplicates_of_run
from kat_data.registry import duplicates
from kat_data.registry.named_queries import find_queries
from kat_data.registry.session import Registry
from kat_data.registry.withdrawals import Why, undo, withdraw_queries
from kat_data.stages.deduplicate import Deduplicate
from kat_data.testing import a_query

pytestmark = pytest.mark.integration

Pairs = set[frozenset[bytes]]
Kept = dict[bytes, bytes]


def general(text: str, reference: str | None = None) -> Query:
    return a_query(text, reference=reference, category=Category.GENERAL)


def corpus(seed: int = 11, originals: int = 150, copies: int = 100) -> list[Query]:
    """Texts of 30 to 60 words, and copies of some of them, and of copies, with one to four words replaced."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghij", k=5)) for _ in range(2_000)]
    texts = [draw.choices(words, k=draw.randint(30, 60)) for _ in range(originals)]
    for _ in range(copies):
        edited = list(draw.choice(texts))
        for _ in range(draw.randint(1, 4)):
            edited[draw.randrange(len(edited))] = draw.choice(words)
        texts.append(edited)
    draw.shuffle(texts)
    return [general(" ".join(text)) for text in texts]


CORPUS = corpus()


def true_pairs(queries: Iterable[Query], threshold: float = 0.7) -> Pairs:
    sets = {}
    for query in queries:
        words = query.user_turns[0].split()
        sets[query.hash] = {tuple(words[i : i + 3]) for i in range(len(words) - 2)}
    return {
        frozenset((a, b))
        for a, b in combinations(sets, 2)
        if len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= threshold
    }


def true_kept(queries: list[Query], threshold: float = 0.7) -> Kept:
    """Return for each query of a cluster who represents it, by the rule for one pass."""
    ids = {query.hash: number for number, query in enumerate(queries)}
    joined = Clusters((min(pair), max(pair)) for pair in ({ids[h] for h in p} for p in true_pairs(queries, threshold)))
    return {
        queries[id_].hash: representative(member(other, queries[other]) for other in cluster).hash
        for cluster in joined.members().values()
        for id_ in cluster
    }


def stored_pairs(registry: Registry) -> Pairs:
    sql = "SELECT a.hash, b.hash FROM near_duplicates JOIN queries a ON a.id = first JOIN queries b ON b.id = second"
    with registry.connection() as connection:
        return {frozenset(pair) for pair in connection.execute(sql)}


def stored_kept(registry: Registry) -> Kept:
    sql = """
        SELECT query.hash, kept.hash FROM cluster_members JOIN clusters ON clusters.id = cluster_id
        JOIN queries AS query ON query.id = query_id JOIN queries AS kept ON kept.id = representative
        WHERE nearest IS NOT NULL
    """
    with registry.connection() as connection:
        return dict(connection.execute(sql).fetchall())


def put_twice(registry: Registry) -> Counter[int]:
    with registry.connection() as connection:
        return Counter(dict(connection.execute("SELECT query_id, count(*) FROM bands GROUP BY 1").fetchall()).values())


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deduplication, "_AT_ONCE", 17)
    monkeypatch.setattr(deduplication, "_BULK", 1)


def test_pairs_and_clusters_are_those_of_a_brute_force_search(registry: Registry, add_queries) -> None:
    add_queries(*CORPUS)
    seen: list[tuple[int, int]] = []
    assert compare_queries(registry, on_progress=lambda done, total: seen.append((done, total))) == 250
    assert seen == [(250, 250)]
    assert len(true_pairs(CORPUS)) > 60
    assert stored_pairs(registry) == true_pairs(CORPUS)
    assert stored_kept(registry) == true_kept(CORPUS)
    assert put_twice(registry) == {25: 250}
    assert compare_queries(registry) == 0


@pytest.mark.usefixtures("small_batches")
def test_batches_change_nothing(registry: Registry, add_queries) -> None:
    add_queries(*CORPUS)
    assert compare_queries(registry) == 250
    assert stored_pairs(registry) == true_pairs(CORPUS)
    assert stored_kept(registry) == true_kept(CORPUS)


@pytest.mark.usefixtures("small_batches")
def test_a_file_answers_like_postgres(registry: Registry, add_queries, tmp_path: Path) -> None:
    add_queries(*CORPUS[:100])
    assert compare_queries(registry, home=tmp_path) == 100
    [folder] = (tmp_path / "bands").iterdir()
    assert (folder / "through").read_text() == "100"
    add_queries(*CORPUS[100:140])
    assert compare_queries(registry) == 40  # by a process that has no such file
    add_queries(*CORPUS[140:200])
    assert compare_queries(registry, home=tmp_path) == 60  # what the file lacks comes from Postgres
    for file in folder.glob("*.keys"):
        file.write_bytes(b"no longer a run")
    add_queries(*CORPUS[200:])
    assert compare_queries(registry, home=tmp_path) == 50  # made anew from Postgres
    assert (folder / "through").read_text() == "250"
    assert stored_pairs(registry) == true_pairs(CORPUS)
    assert put_twice(registry) == {25: 250}


@pytest.mark.usefixtures("small_batches")
def test_a_file_that_knows_more_than_the_registry_is_made_anew(registry: Registry, add_queries, tmp_path: Path) -> None:
    add_queries(*CORPUS)
    compare_queries(registry, home=tmp_path)
    with registry.connection() as connection:  # as a restored backup would
        connection.execute("DELETE FROM bands WHERE query_id > 60")
        connection.execute("UPDATE deduplication SET checked_through = 60")
        connection.execute("TRUNCATE near_duplicates")
    assert compare_queries(registry, home=tmp_path) == 190
    earlier = {query.hash for query in CORPUS[:60]}
    order = {hash_: id_ for hash_, id_ in _ids(registry).items() if id_ <= 60}
    assert earlier != set(order)  # an import sorts by hash
    assert stored_pairs(registry) == {pair for pair in true_pairs(CORPUS) if not pair <= set(order)}
    assert put_twice(registry) == {25: 250}


def _ids(registry: Registry) -> dict[bytes, int]:
    with registry.connection() as connection:
        return dict(connection.execute("SELECT hash, id FROM queries").fetchall())


CHILD = """
import os, sys
from pathlib import Path
from kat_data.pipeline import deduplication
from kat_data.registry import clusters
from kat_data.registry.named_queries import find_queries
from kat_data.registry.session import Registry
from kat_data.registry.withdrawals import Why, undo, withdraw_queries

url, home, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
deduplication._AT_ONCE, deduplication._BULK = 17, 1
batches, note = 0, clusters.note_checked

def noted(connection, through):
    global batches
    note(connection, through)
    batches += 1
    if batches == kill_at:
        os.kill(os.getpid(), 9)  # all of the batch is done, and nothing committed

clusters.note_checked = noted
with Registry(url) as registry:
    print("ready", flush=True)
    sys.stdin.readline()
    deduplication.compare_queries(registry, home=Path(home) if home else None)
"""


def start(registry: Registry, home: Path | None = None, kill_at: int = 0) -> "subprocess.Popen[str]":
    """Start a process that waits for a line before it compares."""
    arguments = (sys.executable, "-c", CHILD, registry.url, str(home or ""), str(kill_at))
    child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def index(registry: Registry) -> str | None:
    with registry.connection() as connection:
        row = connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'bands'").fetchone()
    return row and row[0]


@pytest.mark.usefixtures("small_batches")
def test_a_first_bulk_is_stored_without_the_index_and_every_later_one_with_it(
    registry: Registry, add_queries, tmp_path: Path
) -> None:
    migrated = index(registry)
    seen: list[str | None] = []
    add_queries(*CORPUS[:100])
    compare_queries(registry, home=tmp_path, on_progress=lambda *_: seen.append(index(registry)))
    assert set(seen) == {None}
    assert index(registry) == migrated is not None
    seen.clear()
    add_queries(*CORPUS[100:])
    compare_queries(registry, home=tmp_path, on_progress=lambda *_: seen.append(index(registry)))
    assert set(seen) == {migrated}
    assert stored_pairs(registry) == true_pairs(CORPUS)


def test_what_a_killed_bulk_left_without_index_is_looked_up_with_one(
    registry: Registry, add_queries, tmp_path: Path
) -> None:
    migrated = index(registry)
    add_queries(*CORPUS)
    child = start(registry, tmp_path, 5)
    child.communicate("go\n", timeout=60)
    assert (child.returncode, index(registry)) == (-9, None)
    seen: list[str | None] = []
    compare_queries(registry, on_progress=lambda *_: seen.append(index(registry)))
    assert seen == [migrated]
    assert stored_pairs(registry) == true_pairs(CORPUS)


@pytest.mark.parametrize("one_with_file", [False, True])
def test_two_processes_at_once_keep_one_of_each_pair(
    registry: Registry, add_queries, tmp_path: Path, one_with_file: bool
) -> None:
    migrated = index(registry)
    add_queries(*CORPUS)
    children = [start(registry, tmp_path if one_with_file else None), start(registry)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate(timeout=60)[0] for child in children] == ["", ""]
    assert [child.returncode for child in children] == [0, 0]
    kept = stored_kept(registry)
    assert not [pair for pair in true_pairs(CORPUS) if all(kept.get(hash_, hash_) == hash_ for hash_ in pair)]
    assert kept == true_kept(CORPUS)
    assert put_twice(registry) == {25: 250}
    assert index(registry) == migrated


@pytest.mark.parametrize("with_file", [False, True])
def test_killed_in_the_middle_it_goes_on(registry: Registry, add_queries, tmp_path: Path, with_file: bool) -> None:
    add_queries(*CORPUS)
    home = tmp_path if with_file else None
    for kill_at in (4, 1, 5):
        child = start(registry, home, kill_at)
        child.communicate("go\n", timeout=60)
        assert child.returncode == -9
    child = start(registry, home)
    child.communicate("go\n", timeout=60)
    assert child.returncode == 0
    assert stored_pairs(registry) == true_pairs(CORPUS)
    assert stored_kept(registry) == true_kept(CORPUS)
    assert put_twice(registry) == {25: 250}


def test_a_query_whose_import_is_under_way_is_waited_for(registry: Registry, overtaken) -> None:
    text = "Name three things that a good gardener does in the first week of a dry and cold spring."
    overtaken(general(text), by=general("Please n" + text[1:]), work=compare_queries)
    assert len(stored_pairs(registry)) == 1


SHORT, LONG, LONGER = (
    general("name the three largest rivers of the old world and their sources" + more)
    for more in ("", " please", " please and briefly")
)


def test_in_one_pass_the_rule_decides(registry: Registry, add_queries) -> None:
    add_queries(SHORT, LONGER, LONG)
    compare_queries(registry)
    assert stored_kept(registry) == {query.hash: LONGER.hash for query in (SHORT, LONG, LONGER)}


def test_a_later_one_displaces_nothing(registry: Registry, add_queries) -> None:
    add_queries(SHORT)
    compare_queries(registry)
    add_queries(LONGER, LONG)
    compare_queries(registry)
    assert stored_kept(registry) == {query.hash: SHORT.hash for query in (SHORT, LONG, LONGER)}


def test_another_method_compares_anew_and_keeps_who_stayed(
    registry: Registry, add_queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_queries(SHORT)
    compare_queries(registry)
    add_queries(LONGER, LONG)
    compare_queries(registry)
    monkeypatch.setattr(deduplication, "METHOD", "another")
    assert compare_queries(registry) == 3
    assert stored_kept(registry) == {query.hash: SHORT.hash for query in (SHORT, LONG, LONGER)}
    assert put_twice(registry) == {25: 3}


def test_the_clusters_are_shown(registry: Registry, add_queries) -> None:
    add_queries(*CORPUS)
    compare_queries(registry)
    kept = true_kept(CORPUS)
    sizes = Counter(kept.values())
    with registry.engine.connect() as connection:
        assert duplicates.totals(connection) == {
            "queries": 250,
            "clusters": len(sizes),
            "duplicates": len(kept) - len(sizes),
        }
        shown = duplicates.list_clusters(connection, 1000, 2)
    assert [row["size"] for row in shown] == sorted(sizes.values(), reverse=True)
    for row in shown:
        assert sizes[bytes.fromhex(row["representative"]["hash"])] == row["size"]
        assert {kept[bytes.fromhex(m["hash"])].hex() for m in row["members"]} == {row["representative"]["hash"]}
        assert len(row["members"]) == min(2, row["size"] - 1)


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9])
def test_a_run_of_its_own_scope_chooses_by_the_rule(registry: Registry, open_run, threshold: float) -> None:
    row = open_run(*CORPUS)
    compare_queries(registry)
    found = duplicates_of_run(registry, row.id, Deduplicate(scope="run", threshold=threshold))
    kept = true_kept(CORPUS, threshold)
    assert {hash_: who.representative for hash_, who in found.items()} == {
        h: k.hex() for h, k in kept.items() if h != k
    }


@pytest.mark.parametrize("threshold", [0.7, 0.8])
def test_the_registrys_representative_stays_where_it_is_alike(registry, add_queries, open_run, threshold) -> None:
    stage = Deduplicate(threshold=threshold)
    add_queries(*CORPUS[:120])
    compare_queries(registry)
    row = open_run(*CORPUS[120:])
    compare_queries(registry)
    found = duplicates_of_run(registry, row.id, stage)
    left = {query.hash for query in CORPUS} - set(found)
    assert found
    assert all(who.similarity >= threshold and bytes.fromhex(who.representative) in left for who in found.values())
    assert not [pair for pair in true_pairs(CORPUS, threshold) if pair <= left]
    if stage.as_stored:
        kept = stored_kept(registry)
        assert {h: who.representative for h, who in found.items()} == {h: k.hex() for h, k in kept.items() if h != k}


@pytest.mark.parametrize("stage", [Deduplicate(), Deduplicate(scope="run"), Deduplicate(threshold=0.71)])
def test_a_withdrawn_query_stands_for_nobody(registry: Registry, add_queries, open_run, stage: Deduplicate) -> None:
    add_queries(SHORT, LONGER, LONG)
    compare_queries(registry)
    with registry.engine.begin() as connection:
        longer = find_queries(connection, [LONGER.hash.hex()]).queries
        withdrawal = withdraw_queries(connection, longer, Why(reason="takedown", by="ana"))
    row = open_run(SHORT, LONGER, LONG)
    found = duplicates_of_run(registry, row.id, stage)
    assert row.queries == 2
    assert len(found) == 1
    assert {*found, *(bytes.fromhex(who.representative) for who in found.values())} == {SHORT.hash, LONG.hash}
    with registry.engine.begin() as connection:
        undo(connection, withdrawal.id, Why(reason="settled", by="ana"))
    row = open_run(SHORT, LONGER, LONG)
    assert set(duplicates_of_run(registry, row.id, stage)) == {SHORT.hash, LONG.hash}


@pytest.mark.usefixtures("small_batches")
async def test_a_run_drops_all_but_one_of_a_kind(lean, run, look, add_queries, easy_queries, tmp_path: Path) -> None:
    twins = [query for query in easy_queries[:2] for _ in range(1)]
    copies = [general(query.user_turns[0].replace("Tell me of", "Tell me: of")) for query in twins]
    add_queries(*easy_queries, *copies)
    plain = lean(stages=["normalise", "deduplicate", *lean()["stages"][1:]])
    finished = await run(plain, home=tmp_path)
    assert look.reasons(finished.id) == {"near_duplicate"}
    assert look.ends(finished.id) == {"accepted": 12, "dropped": 2}
    assert list((tmp_path / "bands").iterdir())  # a bulk is looked up in a file


def test_a_pass_that_was_killed_before_its_end_settles(registry: Registry, add_queries) -> None:
    add_queries(SHORT, LONG)
    compare_queries(registry)
    with registry.connection() as connection:  # as a kill between the last batch and the end leaves it
        connection.execute("UPDATE deduplication SET settled_through = 0, settled_cluster = 0")
    assert compare_queries(registry) == 0
    add_queries(LONGER)
    compare_queries(registry)
    assert set(stored_kept(registry).values()) == {LONG.hash}
