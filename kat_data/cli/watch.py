"""`kat runs watch`: a live view of a run that anybody works on, read from the registry alone.

What is seen (`Picture`) is made of overviews by pure functions, apart from asking for them.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

import psycopg

from kat_data.cli.output import printable, rounded, say, usd
from kat_data.domain.states import ItemState, RunState
from kat_data.errors import RegistryError
from kat_data.registry.overview import RunOverview, run_overview
from kat_data.registry.session import Registry

if TYPE_CHECKING:
    from rich.console import RenderableType

WINDOW_SECONDS = 60.0  # over which rates are taken
LINE_SECONDS = 5.0  # between two lines where no terminal shows a table
PATIENCE_SECONDS = 60.0  # for a database that comes back

ENDED = (ItemState.ACCEPTED, ItemState.DROPPED, ItemState.DEAD)
STATES = (ItemState.READY, ItemState.HELD, *ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A run as it stands, with what it does in a second; rates are none until two looks are apart in time.

    `eta_seconds` is none where nothing ends, and where held items make the number of those to come unknown.
    """

    now: RunOverview
    ended_rate: float | None = None
    call_rate: float | None = None
    token_rate: float | None = None
    usd_rate: float | None = None
    eta_seconds: float | None = None


def picture(looks: Sequence[RunOverview]) -> Picture:
    """Return what a run's latest looks, the oldest first, show together."""
    first, now = looks[0], looks[-1]
    seconds = (now.at - first.at).total_seconds()
    if seconds <= 0:
        return Picture(now=now)
    ended = (now.ended - first.ended) / seconds
    left = now.queries - now.ended
    return Picture(
        now=now,
        ended_rate=ended,
        call_rate=(_calls(now) - _calls(first)) / seconds,
        token_rate=(now.tokens - first.tokens) / seconds,
        usd_rate=(now.usd - first.usd) / seconds,
        eta_seconds=left / ended if ended > 0 and not now.items(ItemState.HELD) else None,
    )


def watch_run(
    registry: Registry, run: int, *, stop_when_done: bool = True, every: float = 1.0, leave: Event | None = None
) -> RunOverview:
    """Show a run on stderr until it is no longer open, or `leave` is set; returns its last overview.

    A terminal gets a table that is drawn anew every `every` seconds, a pipe a line every `LINE_SECONDS`. A database
    that is away is waited for, up to `PATIENCE_SECONDS`. Raises `NotFoundError`, `RegistryError`.
    """
    leave = leave or Event()
    looks: deque[RunOverview] = deque()
    with _screen() as draw:
        while True:
            looks.append(_look(registry, run, leave))
            while (looks[-1].at - looks[0].at).total_seconds() > WINDOW_SECONDS:
                looks.popleft()
            over = leave.is_set() or (stop_when_done and looks[-1].state is not RunState.OPEN)
            draw(picture(looks), over)
            if over or leave.wait(every):
                return looks[-1]


def plain(now: RunOverview) -> dict[str, Any]:
    """Return an overview as the values of one JSON document."""
    return {
        "run": now.run,
        "recipe": now.name,
        "state": now.state.value,
        "reason": now.reason,
        "at": now.at,
        "queries": now.queries,
        "ended": now.ended,
        "items": _items(now),
        "workers": now.workers,
        "leases": {"live": now.leases, "expired": now.expired},
        "calls": {"made": _calls(now), "in_flight": now.in_flight},
        "tokens": {"spent": now.tokens, "reserved": now.reserved_tokens, "cap": now.cap_tokens},
        "usd": rounded({"usd": now.usd, "usd_reserved": now.reserved_usd, "usd_cap": now.cap_usd}),
        "attempts": [asdict(tally) for tally in now.of("attempt")],
        "verdicts": [asdict(tally) for tally in now.of("verdict")],
        "samples": {tally.name: tally.count for tally in now.of("sample")},
    }


def line(seen: Picture) -> str:
    """Return a picture as one line of text."""
    now = seen.now
    parts = [f"run {now.run} {now.state.value}: {now.ended:,} of {now.queries:,} ended"]
    parts += [f"{now.items(state):,} {state.value}" for state in ENDED if now.items(state)]
    parts += [_pace(seen), _money(seen), _crew(now)]
    return ", ".join(part for part in parts if part)


def table(seen: Picture) -> "RenderableType":
    """Return a picture as a terminal shows it: a bar, what happens in a second, and the queue by stage."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    now = seen.now
    states = [state for state in STATES if now.items(state)]
    queue = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("stage", *states):
        queue.add_column(column, justify="left" if column == "stage" else "right")
    items = _items(now)
    for stage in _in_order(now, items):
        counts = (items[stage].get(state, 0) for state in states)
        queue.add_row(Text(stage), *(f"{count:,}" if count else "" for count in counts))
    queue.add_section()
    queue.add_row("all", *(f"{now.items(state):,}" for state in states))
    head = Text(printable(f"run {now.run} ({now.name}) {now.state.value}: {now.ended:,} of {now.queries:,} ended"))
    about = [text for text in (_pace(seen), _money(seen), _crew(now), printable(now.reason or "")) if text]
    bar = ProgressBar(total=max(1, now.queries), completed=now.ended, width=60)
    return Group(head, bar, *map(Text, about), queue)


Draw = Callable[[Picture, bool], None]


def _screen() -> AbstractContextManager[Draw]:
    """Return where pictures are drawn; the last one stays on the screen."""
    return _Live() if sys.stderr.isatty() else nullcontext(_lines())


class _Live:
    def __enter__(self) -> Draw:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False)
        self._live.start()
        return self._draw

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _draw(self, seen: Picture, _: bool) -> None:
        self._live.update(table(seen), refresh=True)


def _lines() -> Draw:
    last = -LINE_SECONDS

    def draw(seen: Picture, over: bool) -> None:
        nonlocal last
        if over or time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            say(printable(line(seen)))

    return draw


def _look(registry: Registry, run: int, leave: Event) -> RunOverview:
    """Ask the registry, again and again while it is away."""
    start = time.monotonic()
    while True:
        try:
            with registry.engine.connect() as connection:
                return run_overview(connection, run)
        except (psycopg.OperationalError, RegistryError) as error:
            patience = LINE_SECONDS if leave.is_set() else PATIENCE_SECONDS
            if time.monotonic() - start > patience:
                raise RegistryError(f"run {run} cannot be watched, for the database is away: start it") from error
            time.sleep(0.2)


def _items(now: RunOverview) -> dict[str, dict[str, int]]:
    """Return how many items stand at each stage in each state."""
    items: dict[str, dict[str, int]] = {}
    for tally in now.of("item"):
        items.setdefault(tally.name, {})[tally.outcome] = tally.count
    return items


def _in_order(now: RunOverview, items: dict[str, Any]) -> list[str]:
    known = [stage for stage in now.stages if stage in items]
    return known + sorted(items.keys() - set(known))


def _calls(now: RunOverview) -> int:
    """How many calls brought a reply; some of those that failed were never sent, as where the budget ended before."""
    return sum(tally.count for tally in now.calls if tally.outcome != "failed")


def _pace(seen: Picture) -> str:
    if seen.ended_rate is None or seen.now.state is not RunState.OPEN:
        return f"{_calls(seen.now):,} calls"
    rates = f"{seen.ended_rate:.1f} items/s, {seen.call_rate:.1f} calls/s, {seen.token_rate:,.0f} tokens/s"
    return rates + (f", {_duration(seen.eta_seconds)} to go" if seen.eta_seconds is not None else "")


def _money(seen: Picture) -> str:
    now = seen.now
    spent = usd(now.usd) + (f" of {usd(now.cap_usd)}" if now.cap_usd is not None else "")
    tokens = f"{now.tokens:,} tokens" + (f" of {now.cap_tokens:,}" if now.cap_tokens is not None else "")
    return f"{spent}, {tokens}" + (f", {now.in_flight} calls sent or waiting" if now.in_flight else "")


def _crew(now: RunOverview) -> str:
    if now.state is not RunState.OPEN:
        return ""
    if not now.workers:
        return "nobody works on it (`kat workers status`)"
    expired = f", {now.expired} leases expired" if now.expired else ""
    return f"{now.workers} worker{'s' if now.workers > 1 else ''}, {now.leases} items in hand{expired}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
