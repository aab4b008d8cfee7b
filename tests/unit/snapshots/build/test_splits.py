"""Splits: exact where single rows allow it, alike in every stratum, and nothing parted that belongs together."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from kat_data.domain.split import check_splits
from kat_data.errors import SnapshotError
from kat_data.snapshots.build.splits import Divisible, components, divide, quotas


def rows(strata: Sequence[int], *links: Sequence[int], seed: int = 1) -> Divisible:
    places = np.random.default_rng(seed).integers(0, 2**63, len(strata)).astype(np.uint64)
    return Divisible(
        samples=np.arange(len(strata)),
        places=places,
        strata=np.array(strata, np.int32),
        links=[np.array(keys, np.int64) for keys in links],
    )


def test_single_rows_are_divided_to_the_row_in_every_stratum() -> None:
    strata = [0] * 700 + [1] * 200 + [2] * 100
    found = divide(rows(strata), {"validation": 0.05, "test": 200})
    assert {name: len(taken) for name, taken in found.items()} == {"test": 200, "validation": 50}
    assert not set(found["test"]) & set(found["validation"])
    by_stratum = {name: np.bincount(np.array(strata)[taken]).tolist() for name, taken in found.items()}
    assert by_stratum == {"test": [140, 40, 20], "validation": [35, 10, 5]}


def test_the_same_rows_are_divided_in_the_same_way_and_by_the_seed() -> None:
    strata = [number % 5 for number in range(300)]
    first, again, other = (divide(rows(strata, seed=seed), {"test": 0.2})["test"].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_groups_get_their_share_of_a_split() -> None:
    """Large groups are not left to `train` because small ones fit more easily."""
    documents = [number // 4 if number < 400 else -1 for number in range(1_000)]
    taken = divide(rows([0] * 1_000, documents), {"test": 0.25})["test"]
    assert len(taken) == 250
    assert sum(number < 400 for number in taken) == 100


@given(
    some.lists(
        some.tuples(some.integers(0, 3), some.integers(-1, 12), some.integers(-1, 12)), min_size=10, max_size=80
    ),
    some.sampled_from([0.1, 0.3, 1, 4]),
    some.integers(0, 5),
)
def test_nothing_that_is_linked_is_parted(given_rows: list[tuple[int, int, int]], asked: float, seed: int) -> None:
    strata, near, document = zip(*given_rows, strict=True)
    divisible = rows(strata, near, document, seed=seed)
    try:
        found = divide(divisible, {"test": asked, "validation": 2})
    except SnapshotError:
        return
    side = np.zeros(len(strata), int)
    for number, taken in enumerate(found.values(), 1):
        assert (side[taken] == 0).all()
        side[taken] = number
    for keys in (near, document):
        for key in set(keys) - {-1}:
            assert len({side[row] for row, other in enumerate(keys) if other == key}) == 1
    first = components(divisible.links, len(strata))
    singles = int((np.bincount(first, minlength=len(strata))[first] == 1).sum())
    for name, taken in found.items():
        wanted = max(round(asked * len(strata)), 1) if isinstance(asked, float) else asked
        wanted = 2 if name == "validation" else wanted
        assert len(taken) == wanted or singles < wanted + 2 + len(found["test"])


def test_as_many_splits_as_can_be_asked_for_are_divided() -> None:
    asked = check_splits({f"part_{number:03d}": 1 for number in range(127)})
    assert [len(taken) for taken in divide(rows([0] * 200), asked).values()] == [1] * 127


def test_links_of_several_kinds_make_one_group() -> None:
    chain = [number // 2 for number in range(1_000)]
    shifted = [(number + 1) // 2 for number in range(1_000)]
    assert set(components([np.array(chain), np.array(shifted)], 1_000)) == {0}
    assert components([np.array([-1, 5, -1, 5])], 4).tolist() == [0, 1, 2, 1]
    assert components([], 3).tolist() == [0, 1, 2]


def test_quotas_never_ask_for_more_than_there_is() -> None:
    available = np.array([1, 1, 1, 97])
    assert quotas(50, available).sum() == 50
    assert (quotas(99, available) <= available).all()
    assert quotas(0, available).tolist() == [0, 0, 0, 0]


def test_rows_that_all_belong_together_cannot_be_divided() -> None:
    with pytest.raises(SnapshotError, match="the split test stays empty: what belongs together has more rows"):
        divide(rows([0] * 50, [7] * 50), {"test": 5})
    with pytest.raises(SnapshotError, match="the splits take every row, as all belong together"):
        divide(rows([0] * 50, [7] * 50), {"test": 49})
    with pytest.raises(SnapshotError, match="the splits ask for 50 rows of 50, and leave none to train on"):
        divide(rows([0] * 50), {"test": 50})


def test_columns_are_read_whatever_their_batches() -> None:
    table = pa.table(
        {
            "sample": [10, 11, 12],
            "place": pa.array([-1, 5, 7], pa.int64()),
            "stratum": ["b", "a", "b"],
            "near": pa.array([None, 4, 4], pa.int64()),
        }
    )
    for size in (1, 2, 3):
        found = Divisible.from_batches(table.to_batches(max_chunksize=size), 3, ["near"])
        assert found.samples.tolist() == [10, 11, 12]
        assert found.places.tolist() == [2**64 - 1, 5, 7]
        assert found.strata.tolist() == [1, 0, 1]
        assert [keys.tolist() for keys in found.links] == [[-1, 4, 4]]
