"""A registry dumped and restored is the same registry: nothing is paid again, and snapshots have the same hash."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from kat_data.clock import SystemClock
from kat_data.domain.states import RunState
from kat_data.errors import BudgetExhausted, InputError, RegistryError, UserError
from kat_data.executors.local import execute_run
from kat_data.pipeline.publish import publish_run
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import queries, runs
from kat_data.registry.backup import dump, restore
from kat_data.registry.session import Registry
from kat_data.registry.tables import metadata
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

Plain = dict[str, Any]


def rows(registry: Registry) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with registry.connection() as connection:
        return {
            name: [row[0] for row in connection.execute(f"SELECT t::text FROM {name} AS t ORDER BY t::text")]
            for name in metadata.tables
        }


@pytest.fixture
def moved(registry: Registry, bare_database: Registry, tmp_path: Path) -> Callable[[], Registry]:
    """Dump the registry, restore it into another database, and return that."""

    def move() -> Registry:
        archive = tmp_path / "registry.dump"
        assert dump(registry.url, archive) == archive.stat().st_size
        restore(bare_database.url, archive)
        return bare_database

    return move


async def test_a_finished_run_is_the_same_elsewhere(
    registry: Registry,
    moved: Callable[[], Registry],
    add_queries: Callable[..., None],
    easy_queries: Any,
    run: Any,
    lean: Callable[..., Plain],
    server: ScriptedServer,
    tmp_path: Path,
) -> None:
    add_queries(*easy_queries)
    first = await run(lean())
    asked = server.statistics.requests
    there = moved()
    assert rows(there) == rows(registry)
    assert len(rows(there)["samples"]) == 12

    again, new = open_run(there, parse_recipe(lean(), "recipe.yaml"))
    assert (again.id, new, again.state) == (first.id, False, RunState.FINISHED)
    another, new = open_run(there, parse_recipe(lean(name="another"), "recipe.yaml"))
    assert new
    assert (await execute_run(there, another)).state is RunState.FINISHED
    with there.engine.connect() as connection:
        assert queries.run_cost(connection, another.id).made == 0
    assert server.statistics.requests == asked

    here, elsewhere = (
        publish_run(each, tmp_path / name, first.id, name=None, partial=False, clock=SystemClock())
        for each, name in ((registry, "here"), (there, "there"))
    )
    assert elsewhere.manifest.hashed.content_hash == here.manifest.hashed.content_hash


async def test_a_stopped_run_goes_on_elsewhere_and_pays_no_call_twice(
    registry: Registry,
    moved: Callable[[], Registry],
    add_queries: Callable[..., None],
    easy_queries: Any,
    run: Any,
    lean: Callable[..., Plain],
    server: ScriptedServer,
) -> None:
    add_queries(*easy_queries)
    with pytest.raises(BudgetExhausted):
        await run(lean(budget={"tokens": 6_000}))
    paid = server.statistics.requests
    assert paid
    there = moved()
    row, new = open_run(there, parse_recipe(lean(), "recipe.yaml"))
    assert not new
    assert (await execute_run(there, row)).state is RunState.FINISHED
    with there.engine.connect() as connection:
        assert {found.state for found in runs.funnel(connection, row.id)} == {"accepted"}
        assert (
            queries.run_cost(connection, row.id).made == server.statistics.requests
        )  # each request once, in either place


def test_files_made_from_the_bands_of_the_old_database_are_not_those_of_the_new(
    registry: Registry, moved: Callable[[], Registry]
) -> None:
    key = "SELECT key FROM deduplication"
    with registry.connection(autocommit=True) as connection:
        connection.execute("INSERT INTO deduplication (scheme) VALUES ('s')")
        old = connection.execute(key).fetchone()
    with moved().connection() as connection:
        assert connection.execute(key).fetchone() not in (old, None)


def test_a_database_in_use_is_left_alone(registry: Registry, tmp_path: Path) -> None:
    archive = tmp_path / "registry.dump"
    dump(registry.url, archive)
    with pytest.raises(UserError, match="restore into an empty one"):
        restore(registry.url, archive)
    with pytest.raises(UserError, match="exists already"):
        dump(registry.url, archive)
    with pytest.raises(UserError, match="is no folder"):
        dump(registry.url, tmp_path / "none" / "registry.dump")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_an_archive_restores_nothing(
    registry: Registry, bare_database: Registry, open_run: Any, tmp_path: Path, share: float
) -> None:
    open_run(sums=200)
    archive = tmp_path / "registry.dump"
    dump(registry.url, archive)
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(InputError, match="is damaged, nothing was restored"):
        restore(bare_database.url, archive)
    with bare_database.connection() as connection:
        assert connection.execute("SELECT to_regclass('queries')").fetchone() == (None,)


def test_what_is_no_archive_is_refused(bare_database: Registry, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("CREATE TABLE x ();")
    with pytest.raises(InputError, match="is no archive of `kat db dump`"):
        restore(bare_database.url, tmp_path / "text")


def test_a_dump_that_fails_leaves_nothing_behind(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r'pg_dump fails: .*database "none" does not exist'):
        dump(make_conninfo(registry.url, dbname="none"), tmp_path / "registry.dump")
    assert list(tmp_path.iterdir()) == []


def test_other_programs_are_taken_from_their_folder(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no pg_dump"):
        dump(registry.url, tmp_path / "registry.dump", binaries=tmp_path)
