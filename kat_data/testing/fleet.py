"""A fleet of nodes on one home, for tests that hand it runs, take its parts away and look at what came of it."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kat_data.domain.states import RunState
from kat_data.executors import embedded_broker
from kat_data.executors.fleet import submit
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import runs
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.settings import Settings
from kat_data.testing.node import Node
from kat_data.testing.patience import until


class Fleet:
    """Nodes on one `KAT_HOME` and one registry; `environ` is what they and the commands beside them are given."""

    def __init__(self, home: Path, registry: Registry, environ: Mapping[str, str]) -> None:
        self.home = home
        self.registry = registry
        self.environ = {"KAT_HOME": str(home), **environ}
        self.nodes: list[Node] = []

    def node(self, *queues: str, processes: int = 1, options: tuple[str, ...] = (), **environ: str | None) -> Node:
        """Start a node that serves `queues`, or all; `options` are Celery's."""
        log = self.home / f"node{len(self.nodes)}.log"
        given = self.environ | environ
        node = Node(self.home, log, processes=processes, queues=queues, options=options, environ=given)
        self.nodes.append(node)
        return node

    def submit(self, recipe: Mapping[str, Any]) -> int:
        """Hand a recipe's run over to the nodes, and return its number."""
        row, _ = open_run(self.registry, parse_recipe(dict(recipe), "recipe.yaml"))
        submit(self.registry, row, Settings.load(self.environ))
        return row.id

    def row(self, run: int) -> RunRow:
        """Return the run as the registry has it."""
        with self.registry.engine.connect() as connection:
            return runs.get_run(connection, run)

    def finished(self, run: int) -> RunRow:
        """Return the run once it is open no more."""
        until(lambda: self.row(run).state is not RunState.OPEN, lambda: f"the end of run {run}\n{self.said()}")
        return self.row(run)

    def said(self) -> str:
        """Return what all nodes have written to their logs."""
        return "\n".join(node.said for node in self.nodes)

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query to the registry."""
        with self.registry.connection(autocommit=True) as connection:
            return connection.execute(sql.encode(), values).fetchall()

    def workers_of(self, node: Node) -> list[int]:
        """Return the workers that a living node's processes are."""
        return [row[0] for row in self.ask("SELECT id FROM workers WHERE pid = ANY(%s)", list(node.pids))]

    def kill_broker(self) -> None:
        """Kill the embedded broker, and with it all that it carries: it keeps nothing on disk."""
        os.kill(_working_in(self.home / "broker"), signal.SIGKILL)

    def close(self) -> None:
        """Kill every node that lives, and stop the broker."""
        for node in self.nodes:
            with suppress(ProcessLookupError):
                node.kill()
        embedded_broker.stop(self.home)


def outcome(registry: Registry) -> set[tuple[str, ...]]:
    """Return query, state and sample of every item of a registry's one run, by content hashes."""
    with registry.connection(autocommit=True) as connection:
        rows = connection.execute(
            "SELECT encode(queries.hash, 'hex'), state || coalesce(reason, ''),"
            " coalesce(encode(samples.hash, 'hex') || encode(lineage, 'hex'), '')"
            " FROM work_items JOIN queries ON queries.id = query_id LEFT JOIN samples USING (run_id, query_id)"
        ).fetchall()
    assert len(rows) == len(set(rows)), "an item has ended twice"
    return set(rows)


def _working_in(folder: Path) -> int:
    """Return the process whose working folder is `folder`."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                return int(entry.name)
    raise AssertionError(f"nobody works in {folder}")
