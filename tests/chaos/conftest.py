"""A fleet of real processes that a test kills, pauses and robs of its servers, and a witness who looks on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kat_data.registry import embedded
from kat_data.registry.claims import ALIVE_WORKERS, LOCKED_WORKERS
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings
from kat_data.testing import fleet


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what the chaos came to, for notes to quote."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "chaos":
                terminalreporter.write_line(f"chaos: {value}")


class Fleet(fleet.Fleet):
    """A fleet with servers of its own, on a home of its own; who dies is replaced, as a supervisor would do it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, connect(Settings.load({"KAT_HOME": str(home)})), {})

    def postmaster(self) -> int:
        return int((self.home / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])

    def left_over(self) -> list[str]:
        """Return the command lines of processes that work in this home, its servers excepted."""
        mine = f"KAT_HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mine in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return [line for line in found if "valkey" not in line and "postgres" not in line]

    def close(self) -> None:
        super().close()
        self.registry.close()
        embedded.stop(self.home)


class Witness:
    """Looks at the registry from outside; it never starts a server."""

    def __init__(self, registry: Registry, run: int) -> None:
        self._registry = registry
        self._run = run

    def ask(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._registry.url, autocommit=True) as connection:
            return connection.execute(sql, {"run": self._run} | values).fetchall()

    def one(self, sql: str, **values: Any) -> Any:
        return self.ask(sql, **values)[0][0]

    @contextmanager
    def holding_calls(self) -> Iterator[Callable[[list[int] | None], int]]:
        """Let nobody reserve or settle; yield what counts the reserved calls of workers, or all."""
        with psycopg.connect(self._registry.url) as connection:
            connection.execute("LOCK TABLE calls IN SHARE ROW EXCLUSIVE MODE")

            def reserved(workers: list[int] | None) -> int:
                sql = "SELECT count(*) FROM calls WHERE state = 'reserved' AND (%(all)s OR worker_id = ANY(%(ids)s))"
                asked = {"all": workers is None, "ids": workers or []}
                [(found,)] = connection.execute(sql, asked).fetchall()
                return int(found)

            with suppress(psycopg.OperationalError):  # the block may kill the server
                yield reserved
            with suppress(psycopg.OperationalError):
                connection.rollback()

    def workers_of(self, pids: set[int]) -> list[int]:
        sql = "SELECT id FROM workers WHERE pid = ANY(%(pids)s) AND ended_at IS NULL"
        return [row[0] for row in self.ask(sql, pids=list(pids))]

    def state(self) -> str:
        return str(self.one("SELECT state FROM runs WHERE id = %(run)s"))

    def held_by(self, workers: list[int]) -> int:
        """Return how many items wait for workers that will not work on them."""
        sql = "SELECT count(*) FROM work_items WHERE worker_id = ANY(%(ids)s) AND state = 'ready'"
        return int(self.one(sql, ids=workers))

    def at_work(self) -> int:
        return int(self.one(f"SELECT count(*) FROM workers WHERE run_id = %(run)s AND id IN ({ALIVE_WORKERS})"))

    def at_work_since(self, worker: int) -> bool:
        """Whether a worker that came after `worker` is at work on the run."""
        sql = f"SELECT count(*) FROM workers WHERE run_id = %(run)s AND id > %(id)s AND id IN ({ALIVE_WORKERS})"
        return int(self.one(sql, id=worker)) > 0

    def have_left(self, workers: list[int]) -> bool:
        """Whether the sessions of workers have ended."""
        sql = f"SELECT count(*) FROM workers WHERE id = ANY(%(ids)s) AND id IN ({LOCKED_WORKERS})"
        return int(self.one(sql, ids=workers)) == 0

    def newest_worker(self) -> int:
        return int(self.one("SELECT coalesce(max(id), 0) FROM workers"))

    def attempts_of(self, workers: list[int]) -> int:
        return int(self.one("SELECT count(*) FROM stage_attempts WHERE worker_id = ANY(%(ids)s)", ids=workers))

    def stored(self) -> set[tuple[Any, ...]]:
        """Return every stored reply: its key, who stored it, and when."""
        return set(self.ask("SELECT key, worker_id, settled_at, md5(reply::text) FROM calls WHERE state = 'done'"))


@pytest.fixture(name="fleet")
def a_fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "home")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def witness(fleet: Fleet) -> Callable[[int], Witness]:
    return lambda run: Witness(fleet.registry, run)
