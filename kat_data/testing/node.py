"""A node of the fleet in processes of its own, for tests that kill, pause and count."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class Node:
    """`celery -A workers worker` on a `KAT_HOME`; its processes are a group of their own. Ended by `end`, or by force.

    `log` gets what it says. `queues` are those that it serves, all where none are named; `options` are Celery's.
    """

    def __init__(
        self,
        home: Path,
        log: Path,
        *,
        processes: int = 1,
        queues: Sequence[str] = (),
        options: Sequence[str] = (),
        environ: Mapping[str, str | None] | None = None,
    ) -> None:
        self.log = log
        served = [f"--queues={','.join(queues)}"] if queues else []
        named = ["-c", str(processes), "-n", f"{log.stem}@%h", "--loglevel", "WARNING", *served, *options]
        given = {name: value for name, value in os.environ.items() if not name.startswith("KAT_")}
        given |= {"KAT_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
        wanted = {**given, **(environ or {})}
        with log.open("ab") as file:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "celery", "-A", "workers", "worker", *named],
                env={name: value for name, value in wanted.items() if value is not None},
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """What it has written to its log."""
        return self.log.read_text(errors="replace")

    @property
    def pids(self) -> set[int]:
        """The processes of its group that live, the main one included."""
        return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._ours(entry)}

    def _ours(self, entry: Path) -> bool:
        try:
            state, _, group, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return int(group) == self.process.pid and state != "Z"

    def signal(self, number: int) -> None:
        """Send a signal to every process of the node."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it by SIGKILL, all its processes at once."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def end(self, seconds: float = 60.0) -> int:
        """Ask it to end, as `kill PID` does, and return its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)
