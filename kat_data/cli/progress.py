"""Progress of a run in the terminal: a bar for items, with calls, money and faults beside it.

Plain lines where there is no terminal.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable

from kat_data.cli.output import say, usd
from kat_data.executors.local import execute_run
from kat_data.llm.batch_tools import BatchCounters
from kat_data.metrics.process import open_observer
from kat_data.pipeline.wiring import MakeClient, make_client
from kat_data.pipeline.workshop import Progress
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.sandbox.open import opener
from kat_data.settings import Settings

INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h" if sys.stderr.isatty() else ""


def work_on(registry: Registry, run: RunRow, ended: int, *, client: MakeClient = make_client) -> RunRow:
    """Work on a run with a progress bar; `ended` items of it had ended before.

    Ctrl-C and SIGTERM stop after the calls in flight; a second one ends the process on the spot, which a run survives
    like any kill.
    """
    return asyncio.run(_work_on(registry, run, ended, client))


async def _work_on(registry: Registry, run: RunRow, ended: int, client: MakeClient) -> RunRow:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, _ask_to_stop, stop, run.id)
    seen: list[Progress] = []
    settings = Settings.load()
    async with _bar(run, ended, seen, quiet=settings.log in {"text", "json"}):
        return await execute_run(
            registry,
            run,
            stop=stop,
            client=client,
            open_sandbox=opener(settings),
            home=settings.home,
            observe=seen.append,
            observer=open_observer(settings.metrics_dir),
        )


def _ask_to_stop(stop: asyncio.Event, run: int) -> None:
    if stop.is_set():
        say(f"{_SHOW_CURSOR}left at once; go on with `kat runs resume {run}`")
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    say("stopping after the calls in flight; Ctrl-C again leaves them")
    stop.set()


@contextlib.asynccontextmanager
async def _bar(run: RunRow, ended: int, seen: list[Progress], *, quiet: bool) -> AsyncIterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as ProgressBar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ProgressBar(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task(f"run {run.id} ({run.name})", total=run.queries, completed=ended, note="")

        def show() -> None:
            if seen:
                ends = sum(seen[-1].items[name] for name in ("accepted", "dropped", "dead"))
                bar.update(task, completed=ended + ends, note=_note(seen[-1]))

        watcher = asyncio.create_task(_watch(show))
        try:
            yield
        finally:
            watcher.cancel()
            show()


async def _watch(show: Callable[[], None]) -> None:
    while True:
        show()
        await asyncio.sleep(0.2)


def _note(progress: Progress) -> str:
    calls = progress.calls
    note = f"{calls.calls} calls, {calls.reused} from the ledger, {usd(calls.usd)}"
    note += f", {calls.retries} retries" if calls.retries else ""
    return note + _batches(calls.batches)


def _batches(batches: BatchCounters) -> str:
    if not batches.open:
        return ""
    word = "batch" if batches.open == 1 else "batches"
    return f", {batches.done:,} of {batches.rows:,} calls in {batches.open} {word} done"
