import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kat_data.dedup.memory_store import MemoryBandStore
from kat_data.dedup.run_store import RunStore
from kat_data.errors import InputError

KEYS = np.random.default_rng(1).integers(0, 400, (200, 5))
IDS = np.arange(200)


def filled(folder: Path, batch: int = 11) -> RunStore:
    store = RunStore(folder, memory_entries=64)
    for start in range(0, len(IDS), batch):
        with store.exclusive():
            store.put(IDS[start : start + batch], KEYS[start : start + batch])
    return store


def answers(store: RunStore) -> list[tuple[int, int]]:
    with store.exclusive():
        found = store.candidates(KEYS)
    return list(zip(found.rows.tolist(), found.ids.tolist(), strict=True))


def run_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in {".keys", ".ids"}}


@pytest.fixture(scope="module")
def expected() -> list[tuple[int, int]]:
    store = MemoryBandStore()
    store.put(IDS, KEYS)
    found = store.candidates(KEYS)
    return list(zip(found.rows.tolist(), found.ids.tolist(), strict=True))


def test_it_answers_like_the_memory_store_also_when_opened_again(tmp_path: Path, expected: list) -> None:
    store = filled(tmp_path)
    assert answers(store) == expected
    assert answers(RunStore(tmp_path)) == expected


def test_runs_stay_few_and_files_are_theirs(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for id_ in range(27):
        with store.exclusive():
            store.put(IDS[[id_]], KEYS[[id_]])
    runs = json.loads((tmp_path / "manifest.json").read_text())["runs"]
    assert len(runs) == 1 + 2 + 3  # 27 = 1 · 16 + 2 · 4 + 3
    assert run_files(tmp_path) == {f"{run['name']}.{kind}" for run in runs for kind in ("keys", "ids")}


def test_a_rebuild_leaves_one_run_with_the_same_answers(tmp_path: Path, expected: list) -> None:
    store = filled(tmp_path)
    store.rebuild((IDS[start : start + 7], KEYS[start : start + 7]) for start in range(0, len(IDS), 7))
    assert answers(RunStore(tmp_path)) == expected
    assert len(run_files(tmp_path)) == 2


def test_an_entry_that_is_put_again_is_stored_once(tmp_path: Path, expected: list) -> None:
    store = RunStore(tmp_path)
    for _ in range(4):  # as many runs of one size as are merged into one
        with store.exclusive():
            store.put(IDS, KEYS)
    assert len(run_files(tmp_path)) == 2
    assert answers(store) == expected
    assert store.entries == len(set(zip(KEYS.ravel().tolist(), np.repeat(IDS, 5).tolist(), strict=True)))


def test_two_stores_on_one_folder_see_each_other(tmp_path: Path) -> None:
    one, other = RunStore(tmp_path), RunStore(tmp_path)
    with one.exclusive():
        one.put(np.array([1]), np.array([[5, 6]]))
    with other.exclusive():
        assert other.candidates(np.array([[6, 7]])).ids.tolist() == [1]
        other.put(np.array([2]), np.array([[6, 7]]))
    with one.exclusive():
        assert one.candidates(np.array([[7, 8]])).ids.tolist() == [2]


def test_two_stores_enter_one_at_a_time(tmp_path: Path) -> None:
    """Each puts the number of entries it saw: were both inside at once, a number would come twice and count once.

    The stores share nothing but the folder, as two processes would: the lock belongs to the opened file.
    """
    barrier = threading.Barrier(2)

    def work() -> None:
        store = RunStore(tmp_path)
        barrier.wait()
        for _ in range(12):
            with store.exclusive():
                found = store.candidates(np.array([[1]])).ids
                store.put(np.array([len(found)]), np.array([[1]]))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = RunStore(tmp_path)
    with store.exclusive():
        assert store.candidates(np.array([[1]])).ids.tolist() == list(range(24))


class Crash(Exception):
    pass


@pytest.mark.parametrize("at", range(1, 10))
def test_a_crash_leaves_the_state_before_or_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Every fsync is a place to die at; the fourth put also merges, so the crash may hit that as well."""
    store = RunStore(tmp_path)
    for id_ in range(3):
        with store.exclusive():
            store.put(np.array([id_]), np.array([[1]]))
    steps = iter(range(1, 100))
    monkeypatch.setattr("kat_data.dedup.run_store.os.fsync", lambda _: crash_at(at, next(steps)))
    try:
        with store.exclusive():
            store.put(np.array([3]), np.array([[1]]))
    except Crash:
        pass
    monkeypatch.undo()
    again = RunStore(tmp_path)
    with again.exclusive():
        found = again.candidates(np.array([[1]])).ids.tolist()
        names = {run["name"] for run in json.loads((tmp_path / "manifest.json").read_text())["runs"]}
        assert run_files(tmp_path) == {f"{name}.{kind}" for name in names for kind in ("keys", "ids")}
    assert found in ([*range(3)], [*range(4)])


def crash_at(at: int, step: int) -> None:
    if step == at:
        raise Crash


def test_a_rebuild_that_dies_leaves_the_old_content(tmp_path: Path, expected: list) -> None:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield IDS[:100], KEYS[:100] + 1
        raise Crash

    store = filled(tmp_path)
    with pytest.raises(Crash):
        store.rebuild(batches())
    assert answers(store) == answers(RunStore(tmp_path)) == expected


def test_another_scheme_and_damage_are_refused_until_rebuilt(tmp_path: Path, expected: list) -> None:
    filled(tmp_path)
    manifest = tmp_path / "manifest.json"
    good = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(good), "scheme": "other"}))
    with pytest.raises(InputError, match=r"another scheme \(other\): rebuild it"):
        answers(RunStore(tmp_path))
    manifest.write_text(good)
    file = min(tmp_path.glob("*.ids"))
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(InputError, match="damaged"):
        answers(RunStore(tmp_path))
    store = RunStore(tmp_path)
    store.rebuild([(IDS, KEYS)])
    assert answers(store) == expected


def test_an_empty_store_answers_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.rebuild([])
    assert answers(store) == []
