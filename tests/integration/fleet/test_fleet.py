"""Runs by the fleet: real nodes, a real broker, nobody killed."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from kat_data.domain.states import RunState
from kat_data.executors.local import execute_run
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import migrate
from kat_data.registry.session import Registry
from kat_data.testing.fleet import outcome
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration


async def test_two_nodes_make_what_one_process_makes(
    fleet: Any, add_queries: Callable[..., None], bare_database: Registry
) -> None:
    migrate.upgrade(bare_database.url)
    for registry in (fleet.registry, bare_database):
        add_queries(*fleet.sums(60), to=registry)
    nodes = [fleet.node(), fleet.node()]
    plain = fleet.recipe()
    run = fleet.submit(plain)
    assert fleet.finished(run).state is RunState.FINISHED
    assert fleet.endpoint.statistics["duplicates"] == 0

    async with ScriptedServer() as server:
        plain["endpoints"]["scripted"]["url"] = server.url
        row, _ = open_run(bare_database, parse_recipe(plain, "recipe.yaml"))
        await execute_run(bare_database, row)
    assert outcome(fleet.registry) == outcome(bare_database)
    assert {state for _, state, _ in outcome(fleet.registry)} >= {"accepted"}
    assert all(node.end() == 0 for node in nodes)
    assert "Traceback" not in fleet.said()


def test_each_node_does_the_stages_that_it_serves(fleet: Any, add_queries: Callable[..., None]) -> None:
    add_queries(*fleet.easy(20))
    asking, verifying = fleet.node("kat.llm"), fleet.node("kat.verify", "kat.cpu")
    run = fleet.submit(fleet.recipe())
    assert fleet.finished(run).state is RunState.FINISHED
    attempts = "SELECT stage, array_agg(DISTINCT pid) FROM stage_attempts JOIN workers ON workers.id = worker_id"
    by = dict(fleet.ask(f"{attempts} GROUP BY stage"))
    assert set(by) == {"normalise", "vote_mode", "sample_off", "sample_on", "verify", "judge_mode"}
    for stage, pids in by.items():
        node = verifying if stage in ("normalise", "verify") else asking
        assert set(pids) <= node.pids, stage


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_a_node_that_is_ended_gives_its_items_back_and_loses_nothing(
    fleet: Any, add_queries: Callable[..., None], pool: str
) -> None:
    add_queries(*fleet.easy(100))
    fleet.endpoint.hold(after=40)
    node = fleet.node(options=("-P", pool))
    run = fleet.submit(fleet.recipe())
    fleet.held_after(40)
    workers = fleet.workers_of(node)
    node.process.terminate()
    fleet.endpoint.release()
    assert node.end() == 0
    assert fleet.row(run).state is RunState.OPEN
    [(held,)] = fleet.ask("SELECT count(*) FROM work_items WHERE worker_id IS NOT NULL")
    [(asking,)] = fleet.ask("SELECT count(*) FROM calls WHERE state = 'reserved'")
    [(free,)] = fleet.ask("SELECT count(*) FROM work_items WHERE state = 'ready' AND available_at <= now()")
    [(left,)] = fleet.ask("SELECT count(*) FROM workers WHERE id = ANY(%s) AND ended_at IS NOT NULL", workers)
    assert (held, asking, left) == (0, 0, len(workers))
    assert free > 0
    fleet.node()
    assert fleet.finished(run).state is RunState.FINISHED
    assert fleet.endpoint.statistics["duplicates"] == 0


def test_the_shell_hands_a_run_over_watches_it_cancels_and_resumes_it(
    fleet: Any, add_queries: Callable[..., None]
) -> None:
    add_queries(*fleet.easy(150))
    path = fleet.write(fleet.recipe())
    handed = fleet.kat("run", path, "--executor", "celery", "--detach")
    assert (handed["run"], handed["state"]) == (1, "open")
    fleet.endpoint.hold(after=300)
    fleet.node()
    fleet.held_after(300)
    fleet.kat("runs", "cancel", 1)
    fleet.endpoint.release()
    fleet.until(lambda: fleet.ask("SELECT count(*) FROM work_items WHERE worker_id IS NOT NULL") == [(0,)], "rest")
    asked = fleet.endpoint.requests
    ended = fleet.kat("runs", "watch", 1)["ended"]
    assert 0 < ended < 150
    assert fleet.row(1).state is RunState.CANCELLED
    assert fleet.endpoint.requests == asked
    found = fleet.kat("runs", "resume", 1, "--executor", "celery")
    assert (found["state"], found["accepted"]) == ("finished", 150)
    assert fleet.kat("runs", "watch", 1)["state"] == "finished"
    assert fleet.endpoint.statistics["duplicates"] == 0


def test_two_runs_share_a_node(fleet: Any, add_queries: Callable[..., None]) -> None:
    add_queries(*fleet.easy(50))
    fleet.endpoint.hold()
    fleet.node(processes=2)
    first, second = fleet.submit(fleet.recipe(name="first")), fleet.submit(fleet.recipe(name="second", seed=6))
    both = "SELECT count(DISTINCT run_id) FROM stage_attempts"
    fleet.until(lambda: fleet.ask(both) == [(2,)], "work on both")
    assert {fleet.row(first).state, fleet.row(second).state} == {RunState.OPEN}
    fleet.endpoint.release()
    assert {fleet.finished(run).state for run in (first, second)} == {RunState.FINISHED}


def test_a_node_without_the_key_leaves_the_run_to_another(fleet: Any, add_queries: Callable[..., None]) -> None:
    add_queries(*fleet.easy(10))
    poor = fleet.node(THE_KEY=None)
    run = fleet.submit(fleet.recipe(endpoint={"key_env": "THE_KEY"}))
    refusals = lambda: [line for line in poor.said.splitlines() if "run.refused" in line]  # noqa: E731
    fleet.until(refusals, "the refusal")
    assert fleet.row(run).state is RunState.OPEN
    fleet.node(THE_KEY="secret")
    assert fleet.finished(run).state is RunState.FINISHED
    [refusal] = refusals()
    assert f'"run":{run}' in refusal
    assert "takes its key from THE_KEY" in refusal
    assert "Traceback" not in fleet.said()
    assert "secret" not in fleet.said()


def test_several_workers_fill_a_mixture_to_its_targets(fleet: Any, add_queries: Callable[..., None]) -> None:
    add_queries(*fleet.easy(80))
    fleet.node(processes=2)
    fleet.node()
    stages = [
        "normalise",
        {"vote_mode": {"random_share": 0}},
        {"select": {"counts": {"category=math mode=on": 7, "category=math mode=off": 12}}},
        *({name: {}} for name in ("sample_off", "sample_on", "verify", "judge_mode")),
    ]
    run = fleet.submit(fleet.recipe(stages=stages))
    assert fleet.finished(run).state is RunState.FINISHED
    brought = dict(fleet.ask("SELECT mode, count(*) FROM samples GROUP BY 1"))
    assert brought == {"think_on": 7, "think_off": 12}


def test_a_broker_that_is_lost_comes_back_and_the_run_goes_on(fleet: Any, add_queries: Callable[..., None]) -> None:
    add_queries(*fleet.easy(50))
    fleet.endpoint.hold(after=20)
    fleet.node()
    run = fleet.submit(fleet.recipe())
    fleet.held_after(20)
    fleet.kill_broker()
    fleet.endpoint.release()
    assert fleet.finished(run).state is RunState.FINISHED
    assert fleet.endpoint.statistics["duplicates"] == 0
    fleet.until(lambda: fleet.nodes[0].said.count("Connection to broker lost"), "the loss in the log")
    again = fleet.submit(fleet.recipe(seed=6))  # the queues are there again, too
    assert fleet.finished(again).state is RunState.FINISHED


@pytest.mark.skipif(
    "KAT_TEST_AMQP_URL" not in os.environ, reason="KAT_TEST_AMQP_URL names no RabbitMQ (amqp://guest:guest@127.0.0.1/)"
)
def test_rabbitmq_carries_the_wake_ups_too(fleet: Any, add_queries: Callable[..., None]) -> None:
    add_queries(*fleet.easy(40))
    fleet.environ["KAT_BROKER_URL"] = os.environ["KAT_TEST_AMQP_URL"]
    nodes = [fleet.node(), fleet.node()]
    run = fleet.submit(fleet.recipe())
    assert fleet.finished(run).state is RunState.FINISHED
    assert fleet.endpoint.statistics["duplicates"] == 0
    assert not (fleet.home / "broker").exists()
    assert all(node.end() == 0 for node in nodes)
