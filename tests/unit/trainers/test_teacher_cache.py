import pickle
from pathlib import Path

import numpy as np
import pytest

from kat_data.errors import NotFoundError
from trainers.teacher_cache import TeacherCache, Teaching, key


def teaching(seed: int, n: int, k: int = 4) -> Teaching:
    draws = np.random.default_rng(seed)
    logits = draws.normal(size=(n, 12)) * 3
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    order = np.argsort(-logprobs)[:, :k]
    top = np.take_along_axis(logprobs, order, -1)
    return Teaching(
        own=logprobs[:, 0].astype(np.float32),
        top=top.astype(np.float16),
        top_ids=order.astype(np.int32),
        tail=(1 - np.exp(top).sum(-1)).astype(np.float32),
    )


def keyed(number: int) -> bytes:
    return key({"teacher": "t"}, [1, 2], [number], 4)


def same(one: Teaching, two: Teaching) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name)) and getattr(one, name).dtype == getattr(two, name).dtype
        for name in Teaching.__slots__
    )


def test_rows_come_back_in_any_order_and_in_another_process(tmp_path: Path) -> None:
    cache = TeacherCache(tmp_path)
    rows = {keyed(n): teaching(n, n % 5) for n in range(40)}
    for start in range(0, 40, 10):
        cache.add(dict(list(rows.items())[start : start + 10]))
    assert same(cache[keyed(3)], rows[keyed(3)])
    again = pickle.loads(pickle.dumps(cache))
    for found in (cache, again, TeacherCache(tmp_path)):
        assert len(found) == 40
        for number in np.random.default_rng(1).permutation(40):
            assert same(found[keyed(int(number))], rows[keyed(int(number))])
    assert keyed(41) not in cache
    with pytest.raises(NotFoundError, match="ask the teachers first"):
        cache[keyed(41)]


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    cache = TeacherCache(tmp_path)
    head = b"12345678"
    rows = {head + bytes([n]) * 24: teaching(n, 3) for n in range(5)}
    cache.add(rows)
    assert all(same(cache[name], row) for name, row in rows.items())
    assert head + bytes([9]) * 24 not in cache


def test_a_key_hangs_on_all_that_the_answer_hangs_on() -> None:
    found = {
        key({"teacher": "t"}, [1, 2], [3], 4),
        key({"teacher": "u"}, [1, 2], [3], 4),
        key({"teacher": "t"}, [1], [2, 3], 4),
        key({"teacher": "t"}, [1, 2], [4], 4),
        key({"teacher": "t"}, [1, 2], [3], 5),
    }
    assert len(found) == 5
    assert {len(one) for one in found} == {32}


def test_the_same_rows_are_the_same_file_and_what_was_cut_off_is_not_read(tmp_path: Path) -> None:
    rows = {keyed(n): teaching(n, 3) for n in range(4)}
    TeacherCache(tmp_path).add(rows)
    [shard] = tmp_path.iterdir()
    shard.with_suffix(".77.part").write_bytes(shard.read_bytes()[:100])
    cache = TeacherCache(tmp_path)
    cache.add(rows)
    assert sorted(tmp_path.glob("*.safetensors")) == [shard]
    assert same(cache[keyed(2)], rows[keyed(2)])


def test_several_writers_see_each_other_after_a_refresh(tmp_path: Path) -> None:
    one, two = TeacherCache(tmp_path), TeacherCache(tmp_path)
    one.add({keyed(1): teaching(1, 3)})
    two.add({keyed(1): teaching(1, 3), keyed(2): teaching(2, 3)})
    assert keyed(2) not in one
    one.refresh()
    assert same(one[keyed(2)], two[keyed(2)])
    assert same(one[keyed(1)], two[keyed(1)])


def test_more_shards_than_are_held_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.teacher_cache._OPEN", 2)
    cache = TeacherCache(tmp_path)
    for number in range(6):
        cache.add({keyed(number): teaching(number, 3)})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in [0, 5, 1, 4, 2, 3] * 3:
        assert same(cache[keyed(number)], teaching(number, 3))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_half_precision_keeps_the_distribution() -> None:
    said = teaching(1, 500, k=12)
    kept = np.exp(said.top.astype(np.float64))
    entropy = -(kept * said.top).sum(-1)
    assert (abs(kept.sum(-1) - 1) <= 2.0**-11 * entropy + 1e-6).all()
