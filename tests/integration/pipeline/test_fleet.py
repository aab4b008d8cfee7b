"""What there is to do on the fleet's runs."""

from collections.abc import Callable
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.query import Query
from kat_data.pipeline.fleet import work_left
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import runs
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.stages.stage import Kind

pytestmark = pytest.mark.integration


@pytest.fixture
def opened(
    registry: Registry, lean: Callable[..., Any], add_queries: Callable[..., None], easy_queries: tuple[Query, ...]
) -> Callable[[int], int]:
    """Open the run of a seed to the fleet."""

    def open_(seed: int) -> int:
        add_queries(*easy_queries)
        row, _ = open_run(registry, parse_recipe(lean(seed=seed), "lean.yaml"))
        with registry.engine.begin() as connection:
            runs.open_to(connection, row.id, "celery")
        return row.id

    return open_


async def test_a_recipe_that_cannot_be_read_stops_no_other_run(
    registry: Registry, opened: Callable[[int], int], caplog: pytest.LogCaptureFixture
) -> None:
    spoilt, whole = opened(1), opened(2)
    async with await Worker.start(registry, SystemClock(), run=spoilt) as worker:
        assert len(await worker.claim(spoilt, 3, ["normalise"])) == 3
        with registry.engine.begin() as connection:
            # As if the worker had died, and another version had opened the run.
            connection.exec_driver_sql("UPDATE workers SET seen_at = now() - interval '1 hour'")
            connection.exec_driver_sql("UPDATE runs SET recipe = '{}' WHERE id = %(run)s", {"run": spoilt})
        for _ in range(2):
            assert {work.run for work in work_left(registry, tuple(Kind))} == {whole}
        with registry.engine.begin() as connection:
            held = connection.exec_driver_sql("SELECT count(*) FROM work_items WHERE worker_id IS NOT NULL")
            assert held.scalar_one() == 0
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["run.unreadable"]
