import asyncio
from collections.abc import Sequence

import orjson
import psycopg
import pytest

from kat_data.registry.group_commit import DEADLOCKS, GroupCommit


class Squares:
    """A flush that notes its groups and fails where it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.groups: list[list[int]] = []
        self._failures = list(failures)

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        await asyncio.sleep(0)
        if self._failures:
            raise self._failures.pop(0)
        return [number * number for number in numbers]


async def test_what_arrives_together_is_flushed_together_and_in_order():
    flush = Squares()
    group = GroupCommit(flush, limit=3)
    assert await asyncio.gather(*(group.submit(number) for number in range(5))) == [0, 1, 4, 9, 16]
    assert flush.groups == [[0, 1, 2], [3, 4]]


async def test_a_group_that_lost_a_deadlock_is_done_again():
    flush = Squares(psycopg.errors.DeadlockDetected("deadlock detected"))
    group = GroupCommit(flush)
    assert await asyncio.gather(group.submit(2), group.submit(3)) == [4, 9]
    assert flush.groups == [[2, 3], [2, 3]]


async def test_a_refused_group_is_done_again_one_by_one():
    flush = Squares(psycopg.DataError("in the group"), psycopg.DataError("alone"))
    group = GroupCommit(flush)
    bad, good = await asyncio.gather(group.submit(2), group.submit(3), return_exceptions=True)
    assert (str(bad), good) == ("alone", 9)
    assert flush.groups == [[2, 3], [2], [3]]


async def test_a_group_that_is_no_json_is_done_again_one_by_one():
    flush = Squares(orjson.JSONEncodeError("surrogates"), orjson.JSONEncodeError("alone"))
    bad, good = await asyncio.gather(*map(GroupCommit(flush).submit, (2, 3)), return_exceptions=True)
    assert (str(bad), good) == ("alone", 9)


async def test_a_deadlock_that_never_ends_is_told():
    flush = Squares(*[psycopg.errors.DeadlockDetected("deadlock detected")] * 100)
    with pytest.raises(psycopg.errors.DeadlockDetected):
        await GroupCommit(flush).submit(2)
    assert flush.groups == [[2]] * DEADLOCKS


async def test_any_other_error_fails_the_whole_group_and_nothing_after_it():
    group = GroupCommit(Squares(psycopg.OperationalError("gone")))
    ends = await asyncio.gather(group.submit(2), group.submit(3), return_exceptions=True)
    assert [str(end) for end in ends] == ["gone", "gone"]
    assert await group.submit(4) == 16


async def test_drain_waits_also_for_what_no_caller_waits_for():
    flush = Squares()
    group = GroupCommit(flush)
    caller = asyncio.create_task(group.submit(2))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await group.drain()
    assert flush.groups == [[2]]
