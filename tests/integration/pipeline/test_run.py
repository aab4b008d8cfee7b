"""Whole runs against a scripted endpoint: what comes out, what is paid, and how troubles end."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.call import FinishReason, Reply
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Role, query_hash
from kat_data.domain.states import RunState
from kat_data.errors import (
    BudgetExhausted,
    EndpointDown,
    EndpointRefused,
    RecipeError,
    RegistryError,
    RunBusy,
    RunInterrupted,
    UserError,
    VerifierFault,
)
from kat_data.pipeline.publish import publish_run
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import queries, runs
from kat_data.registry.session import Registry
from kat_data.snapshots.verify import verify
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import Fault, ScriptedServer
from kat_data.verifiers.verifiers import Verifiers

pytestmark = pytest.mark.integration

EVERY_ROLE = (
    "taggers", "voters", "responder", "reasoner", "solver", "thinker", "critic", "judge", "panel",
)  # fmt: skip


def whole_recipe(url: str, **parts: Any) -> dict[str, Any]:
    """Every stage, two models."""
    models = {name: {"endpoint": "scripted", "model": name, "price": {"prompt": 1.0}} for name in ("one", "two")}
    members = [{"model": name, "temperature": 0.7} for name in models]
    return {
        "name": "whole",
        "seed": 11,
        "endpoints": {"scripted": {"url": url, "concurrency": 16, "retries": 1}},
        "models": models,
        "roles": dict.fromkeys(EVERY_ROLE, members),
        "stages": [
            "normalise",
            "tag",
            {"vote_mode": {"only": ["math"], "random_share": 0.2}},
            "route_mode",
            {"sample_off": {"k": 3}},
            {"sample_on": {"k": 3, "only": ["math", "multi_turn"]}},
            {"reason_on": {"rounds": 2, "only": ["general"]}},
            "verify",
            "judge_mode",
        ],
        **parts,
    }


def forty_queries() -> list[Any]:
    sums = [a_query(f"What is {n} + {7 * n}?", reference=str(8 * n)) for n in range(24)]
    open_ended = [
        a_query(f"Tell me of {n} things.", reference=None, category=Category.GENERAL, system="Be brief.")
        for n in range(10)
    ]
    several_turns = [
        a_query(f"What is {n} + 1?", "?", f"And {n} + 2?", reference=str(n + 2), category=Category.MULTI_TURN)
        for n in range(6)
    ]
    return sums + open_ended + several_turns


def ends(registry: Registry, run: int) -> dict[str, int]:
    """Return how many items of a run stand in each state."""
    found: dict[str, int] = {}
    with registry.engine.connect() as connection:
        for row in runs.funnel(connection, run):
            found[row.state] = found.get(row.state, 0) + row.items
    return found


def reasons(registry: Registry, run: int) -> set[str | None]:
    with registry.engine.connect() as connection:
        return {row.reason for row in runs.funnel(connection, run) if row.state != "accepted"}


def spent(registry: Registry, run: int) -> float:
    with registry.engine.connect() as connection:
        return queries.run_cost(connection, run).usd


def stored(registry: Registry, run: int) -> runs.RunRow:
    with registry.engine.connect() as connection:
        return runs.get_run(connection, run)


async def test_a_whole_run_then_again_then_with_one_query_more(registry, server, run, add_queries, tmp_path) -> None:
    add_queries(*forty_queries())
    recipe = whole_recipe(server.url)
    first = await run(recipe)
    counts = ends(registry, first.id)
    assert (first.state, first.queries) == (RunState.FINISHED, 40)
    assert counts["accepted"] + counts["dropped"] == 40
    assert min(counts["accepted"], counts["dropped"]) > 2
    with registry.engine.connect() as connection:
        composition = queries.composition(connection, first.id)
        cost = queries.run_cost(connection, first.id)
        samples = queries.list_samples(connection, first.id, 100)
    assert sum(row["think_on"] for row in composition) > 2
    assert sum(row["think_off"] for row in composition) > 2
    assert {row["category"] for row in composition} == {"math", "general", "multi_turn"}
    assert {len(sample["sample"]["turns"]) for sample in samples} == {1, 2}
    assert server.statistics.duplicates == 0
    assert cost.made == server.statistics.requests
    assert cost.usd == pytest.approx(cost.usd_used)

    paid = server.statistics.requests
    again = await run(recipe)
    assert (again.id, again.state) == (first.id, RunState.FINISHED)
    assert server.statistics.requests == paid
    assert ends(registry, first.id) == counts

    add_queries(a_query("What is 1000 + 1?", reference="1001"))
    more = await run(recipe)
    assert more.id != first.id
    assert sum(ends(registry, more.id).values()) == 41
    new_bodies = server.bodies[paid:]
    assert new_bodies
    assert all("What is 1000 + 1?" in str(body["messages"]) for body in new_bodies)
    with registry.engine.connect() as connection:
        assert queries.run_cost(connection, more.id).reused == paid

    written = publish_run(registry, tmp_path, first.id, name=None, partial=False, clock=SystemClock())
    assert written.label == "whole@1"
    assert verify(written.path).ok
    assert written.manifest.hashed.rows == counts["accepted"]
    assert publish_run(registry, tmp_path, first.id, name=None, partial=False, clock=SystemClock()).existed
    with registry.engine.connect() as connection:
        lineage = queries.sample_lineage(connection, str(samples[0]["id"]))
    assert [(found["name"], found["version"]) for found in lineage["snapshots"]] == [("whole", 1)]


async def test_endpoint_down(registry, server, run, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(
        EndpointDown, match=f"127.0.0.1:{port}.* cannot be reached: start it, or correct its URL"
    ) as caught:
        await run(lean(url=f"http://127.0.0.1:{port}/v1"))
    assert "\n" not in str(caught.value)
    [row] = all_runs(registry)
    assert (row.state, row.reason) == (RunState.STOPPED, str(caught.value))
    assert ends(registry, row.id) == {"ready": 12}
    await assert_resumes(registry, run, lean(), row.id)


def all_runs(registry: Registry) -> list[runs.RunRow]:
    with registry.engine.connect() as connection:
        return runs.list_runs(connection)


async def assert_resumes(registry: Registry, run: Any, plain: dict[str, Any], ident: int) -> None:
    """Assert that the mended recipe takes up the same run and accepts every easy query."""
    finished = await run(plain)
    assert (finished.id, finished.state, finished.reason) == (ident, RunState.FINISHED, None)
    assert ends(registry, ident) == {"accepted": 12}


async def test_wrong_key(registry, lean, run, add_queries, easy_queries, monkeypatch) -> None:
    add_queries(*easy_queries)
    async with ScriptedServer(api_key="right-key") as server:
        recipe = lean(url=server.url, endpoint={"key_env": "SCRIPTED_KEY"})
        with pytest.raises(RecipeError, match="takes its key from SCRIPTED_KEY, which is not set: export it"):
            await run(recipe)
        monkeypatch.setenv("SCRIPTED_KEY", "wrong-key")
        with pytest.raises(
            EndpointRefused, match=r"refuses the key \(HTTP 401\): set SCRIPTED_KEY to a valid key"
        ) as caught:
            await run(recipe)
        [row] = all_runs(registry)
        assert (row.state, row.reason) == (RunState.STOPPED, str(caught.value))
        assert "wrong-key" not in str(caught.value)
        assert server.statistics.requests <= 8
        assert ends(registry, row.id) == {"ready": 12}
        monkeypatch.setenv("SCRIPTED_KEY", "right-key")
        await assert_resumes(registry, run, recipe, row.id)
    with registry.connection(autocommit=True) as connection:
        assert connection.execute("SELECT 1 FROM calls WHERE calls::text LIKE '%%-key%%'").fetchall() == []


async def test_bodies_that_cannot_be_read(registry, lean, run, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    broken = True

    def script(body: dict[str, Any]) -> Reply | Fault:
        return Fault(kind="malformed") if broken else obedient(body)

    async with ScriptedServer(script) as server:
        recipe = lean(url=server.url, attempts=20)
        with pytest.raises(EndpointDown, match=r"sent a body that cannot be read.*mend the endpoint"):
            await run(recipe)
        [row] = all_runs(registry)
        assert row.state is RunState.STOPPED
        assert set(ends(registry, row.id)) == {"ready"}
        broken = False
        with registry.connection(autocommit=True) as connection:  # the waits of those that failed are over
            connection.execute("UPDATE work_items SET available_at = now()")
        await assert_resumes(registry, run, recipe, row.id)


async def test_passing_faults_are_tried_again_and_nothing_is_lost(
    registry, server, lean, run, add_queries, easy_queries
) -> None:
    add_queries(*easy_queries)
    server.fail(Fault(status=500), Fault(status=429, headers={"Retry-After": "0"}), Fault(kind="drop"))
    finished = await run(lean(endpoint={"retries": 5}))
    assert ends(registry, finished.id) == {"accepted": 12}
    assert server.statistics.answered == server.statistics.requests - 3


@pytest.mark.parametrize(
    ("reply", "reason", "fault"),
    [
        (Reply(text=" ", finish_reason=FinishReason.STOP), "no_candidate", "reply_empty"),
        (Reply(text="The result is", finish_reason=FinishReason.LENGTH), "reply_cut", "reply_cut"),
    ],
)
async def test_replies_that_are_no_answers_drop_their_queries_and_are_kept(
    registry, run, lean, add_queries, easy_queries, reply, reason, fault
) -> None:
    add_queries(*easy_queries)

    def script(body: dict[str, Any]) -> Reply:
        return obedient(body) if "response_format" in body else reply

    async with ScriptedServer(script) as server:
        finished = await run(lean(url=server.url))
        assert finished.state is RunState.FINISHED
        assert ends(registry, finished.id) == {"dropped": 12}
        assert reasons(registry, finished.id) == {reason}
        with registry.connection(autocommit=True) as connection:
            faults = connection.execute("SELECT DISTINCT fault FROM candidates").fetchall()
            paid = connection.execute("SELECT count(*) FROM calls WHERE state = 'done'").fetchall()
            behind = connection.execute(
                "SELECT count(DISTINCT key) FROM stage_attempts, unnest(calls) AS key"
            ).fetchall()
        assert faults == [(fault,)]
        assert paid == behind == [(server.statistics.requests,)]
        await run(lean(url=server.url))
        assert server.statistics.requests == paid[0][0]


async def test_replies_against_the_schema_drop_their_queries(registry, run, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)

    def script(body: dict[str, Any]) -> Reply | str:
        return "I would rather not." if "response_format" in body else obedient(body)

    async with ScriptedServer(script) as server:
        finished = await run(lean(url=server.url))
    assert (finished.state, reasons(registry, finished.id)) == (RunState.FINISHED, {"no_vote"})
    assert ends(registry, finished.id) == {"dropped": 12}


async def test_a_budget_holds_and_a_higher_one_resumes(registry, server, lean, run, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    with pytest.raises(BudgetExhausted, match=r"the budget of \$0\.01 is reached: .* raise the budget in the recipe"):
        await run(lean(budget={"usd": 0.01}))
    [row] = all_runs(registry)
    assert row.state is RunState.STOPPED
    assert 0.004 < spent(registry, row.id) <= 0.01
    assert ends(registry, row.id)["ready"] > 0
    with pytest.raises(BudgetExhausted):
        await run(lean(budget={"usd": 0.01}))
    assert spent(registry, row.id) <= 0.01
    await assert_resumes(registry, run, lean(budget={"usd": 1.0}), row.id)
    assert server.statistics.duplicates == 0
    assert server.statistics.requests == 36


async def test_tokens_are_capped_as_well(registry, server, lean, run, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    with pytest.raises(BudgetExhausted, match="the budget of 3,000 tokens is reached"):
        await run(lean(budget={"tokens": 3000}))
    [row] = all_runs(registry)
    await assert_resumes(registry, run, lean(), row.id)


async def test_a_lost_database_is_one_clear_line(registry, lean, run, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    served = 0

    def script(body: dict[str, Any]) -> Reply:
        nonlocal served
        served += 1
        if served == 10:
            with registry.connection(autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RegistryError, match=r"lost the database: .*run the same command again") as caught:
            await run(lean(url=server.url))
        assert "\n" not in str(caught.value)
        [row] = all_runs(registry)
        assert set(ends(registry, row.id)) <= {"ready", "accepted"}
        await assert_resumes(registry, run, lean(url=server.url), row.id)
        assert server.statistics.duplicates <= 8  # the calls in flight


async def test_cancelling_ends_a_run_soon_and_it_can_be_resumed(registry, run, lean, add_queries) -> None:
    add_queries(*(a_query(f"Question {n}", reference=None) for n in range(60)))
    served = 0

    def script(body: dict[str, Any]) -> Reply:
        nonlocal served
        served += 1
        if served == 20:
            [row] = all_runs(registry)
            with registry.engine.begin() as connection:
                runs.set_state(connection, row.id, RunState.CANCELLED, "enough")
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted, match="was cancelled; go on with `kat runs resume"):
            await run(lean(url=server.url))
        [cancelled] = all_runs(registry)
        assert (cancelled.state, cancelled.reason) == (RunState.CANCELLED, "enough")
        assert ends(registry, cancelled.id)["ready"] > 30
        finished = await run(lean(url=server.url))
        assert (finished.id, finished.state) == (cancelled.id, RunState.FINISHED)
        assert server.statistics.duplicates == 0
    assert sum(ends(registry, finished.id).values()) == 60
    assert "ready" not in ends(registry, finished.id)


async def test_a_stop_ends_items_after_their_calls_in_flight(registry, run, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    stop = asyncio.Event()

    def script(body: dict[str, Any]) -> Reply:
        stop.set()
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted):
            await run(lean(url=server.url), stop=stop)
        [row] = all_runs(registry)
        assert row.state is RunState.STOPPED
        assert server.statistics.requests <= 8
        assert ends(registry, row.id) == {"ready": 12}
        await assert_resumes(registry, run, lean(url=server.url), row.id)
        assert server.statistics.requests == 36


async def test_messages_that_say_nothing_are_the_same_nothing_after_a_stop(registry, run, lean, add_queries) -> None:
    add_queries(a_query("What is 1 + 1?", "\u200b", "And 1 + 2?", system=" ", reference="3"))
    stop = asyncio.Event()

    def script(body: dict[str, Any]) -> Reply:
        stop.set()
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted):
            await run(lean(url=server.url), stop=stop)
        row = await run(lean(url=server.url))
    assert ends(registry, row.id) == {"accepted": 1}
    with registry.engine.connect() as connection:
        [sample] = queries.list_samples(connection, row.id, 10)
        lineage = queries.sample_lineage(connection, str(sample["id"]))
    assert sample["sample"]["system"] is None
    messages = tuple(Message(role=Role.USER, content=text) for text in ("What is 1 + 1?", "And 1 + 2?"))
    assert lineage["query"]["messages"] == [{"role": m.role, "content": m.content} for m in messages]
    assert lineage["query"]["hash"] == query_hash(messages, ()).hex()


async def test_one_process_works_on_a_run(registry, run, lean, add_queries, easy_queries) -> None:
    add_queries(*easy_queries)
    busy: list[BaseException | None] = []

    async def second() -> None:
        try:
            await run(lean())
        except RunBusy as error:
            busy.append(error)

    row, _ = open_run(registry, parse_recipe(lean(), "recipe.yaml"))
    with registry.connection(autocommit=True) as other:
        other.execute(runs.LOCK_RUN, {"run": row.id})
        await second()
    assert str(busy[0]) == f"another process works on run {row.id}: wait for it, or stop it first"
    await assert_resumes(registry, run, lean(), row.id)


async def test_a_broken_verifier_costs_its_item_a_try_and_dead_items_can_be_revived(
    registry, run, lean, add_queries, easy_queries, monkeypatch
) -> None:
    add_queries(*easy_queries)
    whole = Verifiers.verify

    def broken(self: Verifiers, query: Any, candidate: Any) -> Any:
        if query.user_turns[0].endswith(" 3."):
            raise VerifierFault("its process died")
        return whole(self, query, candidate)

    with monkeypatch.context() as patch:
        patch.setattr(Verifiers, "verify", broken)
        finished = await run(lean(attempts=1))
    assert finished.state is RunState.FINISHED
    assert ends(registry, finished.id) == {"accepted": 11, "dead": 1}
    assert reasons(registry, finished.id) == {"VerifierFault"}
    with registry.connection(autocommit=True) as connection:
        errors = connection.execute("SELECT error FROM stage_attempts WHERE outcome = 'failed'").fetchall()
    assert errors == [("VerifierFault: its process died",)]
    with registry.engine.begin() as connection:
        assert runs.revive_dead(connection, finished.id) == 1
    await assert_resumes(registry, run, lean(attempts=1), finished.id)


async def test_what_postgres_cannot_hold_is_dropped_from_replies(
    registry, run, lean, add_queries, easy_queries
) -> None:
    add_queries(*easy_queries)

    def script(body: dict[str, Any]) -> Reply | str:
        text = obedient(body).text
        if "response_format" in body:
            return text.replace('"reason":"', '"reason":"\\u0000').replace('"analysis":"', '"analysis":"\\u0000')
        return f"\0{text}"

    async with ScriptedServer(script) as server:
        finished = await run(lean(url=server.url))
    assert ends(registry, finished.id) == {"accepted": 12}


async def test_only_a_finished_run_is_published_unless_it_is_wanted_partial(
    registry, run, lean, add_queries, easy_queries, tmp_path: Path
) -> None:
    add_queries(*easy_queries)
    stop, served = asyncio.Event(), 0

    def script(body: dict[str, Any]) -> Reply:
        nonlocal served
        served += 1
        if served == 30:
            stop.set()
        return obedient(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted):
            await run(lean(url=server.url), stop=stop)
    [row] = all_runs(registry)
    publish: dict[str, Any] = {"name": "part", "clock": SystemClock()}
    with pytest.raises(UserError, match=f"run {row.id} is stopped: finish it with `kat runs resume {row.id}`"):
        publish_run(registry, tmp_path, row.id, partial=False, **publish)
    written = publish_run(registry, tmp_path, row.id, partial=True, **publish)
    assert written.label == "part@1"
    assert 0 < written.manifest.hashed.rows == ends(registry, row.id)["accepted"] < 12
