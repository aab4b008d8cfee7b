"""Watching a run: rates from two looks, and what a line and a table say."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from kat_data.cli.watch import line, picture, plain, table
from kat_data.domain.states import RunState
from kat_data.registry.overview import RunOverview, Tally

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_look(seconds: float = 0.0, *, accepted: int = 0, calls: int = 0, held: int = 0, **parts: Any) -> RunOverview:
    items = (
        Tally(name="verify", outcome="accepted", count=accepted),
        Tally(name="verify", outcome="ready", count=100 - accepted - held),
        *((Tally(name="select", outcome="held", count=held),) if held else ()),
    )
    bought = Tally(name="one", outcome="stop", count=calls, tokens=50 * calls, usd=0.01 * calls, seconds=1.0)
    given = {
        "run": 3,
        "name": "lean",
        "state": RunState.OPEN,
        "reason": None,
        "stages": ("select", "verify"),
        "queries": 100,
        "created_at": START,
        "finished_at": None,
        "at": START + timedelta(seconds=seconds),
        "cap_usd": 5.0,
        "cap_tokens": None,
        "lost_usd": 0.0,
        "lost_tokens": 0,
        "tallies": {"item": items, "call": (bought,)},
    }
    return RunOverview(**given | parts)


def shown(*looks: RunOverview) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(table(picture(looks)))
    return captured.get()


def test_rates_are_those_between_the_first_and_the_last_look() -> None:
    seen = picture([a_look(), a_look(4, accepted=1), a_look(10, accepted=20, calls=50)])
    assert (seen.ended_rate, seen.call_rate, seen.token_rate, seen.usd_rate) == (2.0, 5.0, 250.0, 0.05)
    assert seen.eta_seconds == 40.0


def test_one_look_has_no_rates() -> None:
    assert picture([a_look(calls=7)]).call_rate is None
    assert "7 calls" in line(picture([a_look(calls=7)]))


def test_nobody_knows_when_a_mixture_ends_or_a_run_that_stands_still() -> None:
    assert picture([a_look(), a_look(10, accepted=20, held=30)]).eta_seconds is None
    assert picture([a_look(accepted=20), a_look(10, accepted=20)]).eta_seconds is None


def test_a_line() -> None:
    looks = (a_look(), a_look(10, accepted=20, calls=50, workers=2, leases=16, in_flight=8))
    assert line(picture(looks)) == (
        "run 3 open: 20 of 100 ended, 20 accepted, 2.0 items/s, 5.0 calls/s, 250 tokens/s, 40s to go, "
        "$0.5000 of $5.00, 2,500 tokens, 8 calls sent or waiting, 2 workers, 16 items in hand"
    )


def test_a_run_that_nobody_works_on_says_so() -> None:
    assert "nobody works on it" in line(picture([a_look()]))
    assert "nobody works on it" not in line(picture([a_look(state=RunState.FINISHED)]))


def test_the_table_has_the_stages_in_the_recipes_order() -> None:
    said = shown(a_look(), a_look(10, accepted=20, held=30, reason="\x1b[31mred", expired=3, workers=1))
    rows = [row.split() for row in said.splitlines() if row.split()[:1] in (["select"], ["verify"], ["all"])]
    assert rows == [["select", "30"], ["verify", "50", "20"], ["all", "50", "30", "20"]]
    assert "3 leases expired" in said
    assert "\x1b" not in said


def test_the_document_has_everything_as_numbers() -> None:
    found = plain(a_look(accepted=20, calls=50, held=30))
    assert found["items"] == {"select": {"held": 30}, "verify": {"accepted": 20, "ready": 50}}
    assert found["usd"] == {"usd": 0.5, "usd_reserved": 0.0, "usd_cap": 5.0}
    assert (found["calls"], found["ended"]) == ({"made": 50, "in_flight": 0}, 20)
