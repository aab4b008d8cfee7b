"""Clocks: one that moves by itself, one that moves only when told."""

from datetime import UTC, datetime, timedelta

from kat_data.clock import Clock, ManualClock, SystemClock


async def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(datetime(2030, 5, 1, tzinfo=UTC))
    assert (clock.now(), clock.monotonic()) == (datetime(2030, 5, 1, tzinfo=UTC), 0.0)
    clock.advance(1.5)
    await clock.sleep(3600)
    assert clock.now() == datetime(2030, 5, 1, tzinfo=UTC) + timedelta(seconds=3601.5)
    assert (clock.monotonic(), clock.slept) == (3601.5, [3600])


async def test_the_system_clock_is_in_utc_and_never_goes_back() -> None:
    clock: Clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    assert clock.now().tzinfo is UTC
