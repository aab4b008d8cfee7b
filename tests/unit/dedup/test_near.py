import random
import threading
from collections.abc import Collection, Mapping
from itertools import combinations
from pathlib import Path

import pytest

from kat_data.dedup.band_store import BandStore
from kat_data.dedup.memory_store import MemoryBandStore
from kat_data.dedup.near import NearDuplicates, Pairs
from kat_data.dedup.run_store import RunStore


class Shelf:
    """Texts by id, as a registry would give them; remembers what it was asked for."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        self.texts = texts
        self.asked: set[int] = set()

    def __call__(self, ids: Collection[int]) -> Mapping[int, str]:
        self.asked |= set(ids)
        return {id_: self.texts[id_] for id_ in ids if id_ in self.texts}


def corpus(seed: int, originals: int, copies: int) -> dict[int, str]:
    """Distinct texts, then copies of some with one to four words replaced, under ids that are not in a row."""
    draw = random.Random(seed)
    words = [f"w{n}" for n in range(3_000)]
    texts = [draw.choices(words, k=draw.randint(20, 60)) for _ in range(originals)]
    for _ in range(copies):
        edited = list(draw.choice(texts[:originals]))
        for _ in range(draw.randint(1, 4)):
            edited[draw.randrange(len(edited))] = draw.choice(words)
        texts.append(edited)
    draw.shuffle(texts)
    return {7 * number + 3: " ".join(text) for number, text in enumerate(texts)}


def true_pairs(texts: Mapping[int, str], threshold: float) -> set[tuple[int, int]]:
    sets = {}
    for id_, text in texts.items():
        words = text.split()
        sets[id_] = {tuple(words[i : i + 3]) for i in range(len(words) - 2)}
    return {(a, b) for a, b in combinations(sets, 2) if len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= threshold}


def added(near: NearDuplicates, texts: Mapping[int, str], size: int) -> set[tuple[int, int]]:
    ids = list(texts)
    found: set[tuple[int, int]] = set()
    for start in range(0, len(ids), size):
        batch = ids[start : start + size]
        found |= keys(near.add(batch, [texts[id_] for id_ in batch]))
    return found


def keys(pairs: Pairs) -> set[tuple[int, int]]:
    return {(first, second) for first, second, _ in pairs}


@pytest.fixture(params=["memory", "runs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BandStore:
    return MemoryBandStore() if request.param == "memory" else RunStore(tmp_path)


@pytest.mark.parametrize("size", [37, 1_000])
def test_true_pairs_are_found_and_no_others(store: BandStore, size: int) -> None:
    texts = corpus(1, 200, 200)
    truth = true_pairs(texts, 0.7)
    found = added(NearDuplicates(store, Shelf(texts)), texts, size)
    assert len(truth) > 100
    assert found <= truth
    assert len(found) >= 0.99 * len(truth)


def test_batches_of_any_size_find_the_same_pairs() -> None:
    texts = corpus(2, 100, 100)
    whole, single = (added(NearDuplicates(MemoryBandStore(), Shelf(texts)), texts, size) for size in (1_000, 1))
    assert whole == single


def test_a_large_batch_is_cut_without_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = corpus(3, 60, 40)
    whole = added(NearDuplicates(MemoryBandStore(), Shelf(texts)), texts, 1_000)
    monkeypatch.setattr("kat_data.dedup.near._BATCH", 16)
    monkeypatch.setattr("kat_data.dedup.near._PIECE", 5)
    assert added(NearDuplicates(MemoryBandStore(), Shelf(texts)), texts, 1_000) == whole


def test_pairs_are_in_order_with_their_similarity() -> None:
    near = NearDuplicates(MemoryBandStore(), Shelf({}))
    pairs = near.add([9, 4], ["a b c d e f g h i j k", "A b, c d e f g h i j k l!"])
    assert list(pairs) == [(4, 9, 9 / 10)]


def test_only_candidates_of_earlier_batches_are_fetched() -> None:
    texts = {1: "one two three four five", 2: "six seven eight nine ten", 3: "one two three four five"}
    shelf = Shelf(texts)
    near = NearDuplicates(MemoryBandStore(), shelf)
    near.add([1, 2], [texts[1], texts[2]])
    assert list(near.add([3], [texts[3]])) == [(1, 3, 1.0)]
    assert shelf.asked == {1}


def test_adding_again_reports_the_same_pairs(store: BandStore) -> None:
    texts = corpus(4, 40, 30)
    near = NearDuplicates(store, Shelf(texts))
    assert added(near, texts, 20) == added(near, texts, 70)


def test_a_text_that_is_gone_resembles_nothing() -> None:
    near = NearDuplicates(MemoryBandStore(), Shelf({}))
    near.add([1], ["one two three four"])
    assert len(near.add([2], ["one two three four"])) == 0


def test_texts_without_tokens_resemble_nothing() -> None:
    near = NearDuplicates(MemoryBandStore(), Shelf({}))
    assert len(near.add([1, 2, 3, 4], ["", "", "...", "..."])) == 0
    assert len(near.add([], [])) == 0


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Yes", "yes!", True),
        ("Yes", "No", False),
        ("Prove it", "Prove that", False),
        ("请用中文解释什么是人工智能以及它的应用", "请用中文解释什么是人工智能以及它的用途", True),
        ("请用中文解释什么是人工智能以及它的应用", "请用英文写一首关于春天和大海的短诗给我", False),
        ("How many legs have 3 sheep?", "How many legs have 4 sheep?", False),
    ],
)
def test_short_and_chinese_texts(one: str, other: str, near: bool) -> None:
    assert len(NearDuplicates(MemoryBandStore(), Shelf({})).add([1, 2], [one, other])) == near


def test_a_crowd_of_copies_costs_pairs_in_proportion() -> None:
    near = NearDuplicates(MemoryBandStore(cap=8), Shelf({}))
    pairs = near.add(range(400), ["the very same text again and again"] * 400)
    assert {second for _, second, _ in pairs} == set(range(1, 400))
    assert len(pairs) < 400 * 70


def test_two_batches_at_once_never_both_miss_a_pair(store: BandStore) -> None:
    """Both threads hold the same texts under other ids; each of the pairs between them is found by one at least."""
    texts = list(corpus(5, 60, 0).values())
    shelf = Shelf(dict(enumerate(texts * 2)))
    barrier, found = threading.Barrier(2), set()

    def work(start: int) -> None:
        near = NearDuplicates(store, shelf)
        barrier.wait()
        for number in range(0, len(texts), 6):
            found.update(keys(near.add(range(start + number, start + number + 6), texts[number : number + 6])))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(n, n + len(texts)) for n in range(len(texts))} <= found


def test_pairs_that_are_not_eligible_are_never_read() -> None:
    shelf = Shelf(corpus(9, 60, 60))
    near = NearDuplicates(MemoryBandStore(), shelf, eligible=lambda first, second: (first + second) % 2 == 0)
    expected = {pair for pair in true_pairs(shelf.texts, 0.7) if sum(pair) % 2 == 0}
    assert expected
    assert added(near, shelf.texts, 10) == expected
    whole = NearDuplicates(MemoryBandStore(), shelf, eligible=lambda first, _: first < 0)
    shelf.asked.clear()
    assert added(whole, shelf.texts, 10) == set()
    assert shelf.asked == set()
