"""Runs in trouble: endpoints, replies, the database or a verifier fail, and nothing is lost."""

import socket
from typing import Any

import pytest

from kat_data.domain.call import FinishReason, Reply
from kat_data.domain.states import RunState
from kat_data.errors import (
    EndpointDown,
    EndpointRefused,
    RecipeError,
    RegistryError,
    VerifierFault,
    WorkerLost,
)
from kat_data.registry import runs
from kat_data.registry.budgets import FREE_DEAD_CALLS
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import Fault, ScriptedServer
from kat_data.verifiers.dispatch import Verifiers

pytestmark = pytest.mark.integration


async def test_endpoint_down(server, run, lean, add_queries, easy_queries, look, assert_resumes) -> None:
    add_queries(*easy_queries)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(
        EndpointDown, match=f"127.0.0.1:{port}.* cannot be reached: start it, or correct its URL"
    ) as caught:
        await run(lean(url=f"http://127.0.0.1:{port}/v1"))
    assert "\n" not in str(caught.value)
    [row] = look.runs()
    assert (row.state, row.reason) == (RunState.STOPPED, str(caught.value))
    assert look.ends(row.id) == {"ready": 12}
    await assert_resumes(lean(), row.id)


async def test_wrong_key(registry, lean, run, add_queries, easy_queries, monkeypatch, look, assert_resumes) -> None:
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
        [row] = look.runs()
        assert (row.state, row.reason) == (RunState.STOPPED, str(caught.value))
        assert "wrong-key" not in str(caught.value)
        assert server.statistics.requests <= 8
        assert look.ends(row.id) == {"ready": 12}
        monkeypatch.setenv("SCRIPTED_KEY", "right-key")
        await assert_resumes(recipe, row.id)
    with registry.connection(autocommit=True) as connection:
        assert connection.execute("SELECT 1 FROM calls WHERE calls::text LIKE '%%-key%%'").fetchall() == []


async def test_bodies_that_cannot_be_read(registry, lean, run, add_queries, easy_queries, look, assert_resumes) -> None:
    add_queries(*easy_queries)
    broken = True

    def script(body: dict[str, Any]) -> Reply | Fault:
        return Fault(kind="malformed") if broken else obedient(body)

    async with ScriptedServer(script) as server:
        recipe = lean(url=server.url, attempts=20)
        with pytest.raises(EndpointDown, match=r"sent a body that cannot be read.*mend the endpoint"):
            await run(recipe)
        [row] = look.runs()
        assert row.state is RunState.STOPPED
        assert set(look.ends(row.id)) == {"ready"}
        broken = False
        with registry.connection(autocommit=True) as connection:  # the waits of those that failed are over
            connection.execute("UPDATE work_items SET available_at = now()")
        await assert_resumes(recipe, row.id)


async def test_passing_faults_are_tried_again_and_nothing_is_lost(
    server, lean, run, add_queries, easy_queries, look
) -> None:
    add_queries(*easy_queries)
    server.fail(Fault(status=500), Fault(status=429, headers={"Retry-After": "0"}), Fault(kind="drop"))
    finished = await run(lean(endpoint={"retries": 5}))
    assert look.ends(finished.id) == {"accepted": 12}
    assert server.statistics.answered == server.statistics.requests - 3


@pytest.mark.parametrize(
    ("reply", "reason", "fault"),
    [
        (Reply(text=" ", finish_reason=FinishReason.STOP), "no_candidate", "reply_empty"),
        (Reply(text="The result is", finish_reason=FinishReason.LENGTH), "reply_cut", "reply_cut"),
    ],
)
async def test_replies_that_are_no_answers_drop_their_queries_and_are_kept(
    registry, run, lean, add_queries, easy_queries, reply, reason, fault, look
) -> None:
    add_queries(*easy_queries)

    def script(body: dict[str, Any]) -> Reply:
        return obedient(body) if "response_format" in body else reply

    async with ScriptedServer(script) as server:
        finished = await run(lean(url=server.url))
        assert finished.state is RunState.FINISHED
        assert look.ends(finished.id) == {"dropped": 12}
        assert look.reasons(finished.id) == {reason}
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


async def test_replies_against_the_schema_drop_their_queries(run, lean, add_queries, easy_queries, look) -> None:
    add_queries(*easy_queries)

    def script(body: dict[str, Any]) -> Reply | str:
        return "I would rather not." if "response_format" in body else obedient(body)

    async with ScriptedServer(script) as server:
        finished = await run(lean(url=server.url))
    assert (finished.state, look.reasons(finished.id)) == (RunState.FINISHED, {"no_vote"})
    assert look.ends(finished.id) == {"dropped": 12}


async def test_a_lost_database_is_one_clear_line(
    registry, lean, run, add_queries, easy_queries, look, assert_resumes
) -> None:
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
        [row] = look.runs()
        assert set(look.ends(row.id)) <= {"ready", "accepted"}
        await assert_resumes(lean(url=server.url), row.id)
        assert server.statistics.duplicates <= 8  # the calls in flight


async def test_a_broken_verifier_costs_its_item_a_try_and_dead_items_can_be_revived(
    registry, run, lean, add_queries, easy_queries, monkeypatch, look, assert_resumes
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
    assert look.ends(finished.id) == {"accepted": 11, "dead": 1}
    assert look.reasons(finished.id) == {"VerifierFault"}
    with registry.connection(autocommit=True) as connection:
        errors = connection.execute("SELECT error FROM stage_attempts WHERE outcome = 'failed'").fetchall()
    assert errors == [("VerifierFault: its process died",)]
    with registry.engine.begin() as connection:
        assert runs.revive_dead(connection, finished.id) == 1
    await assert_resumes(lean(attempts=1), finished.id)


async def test_what_postgres_cannot_hold_is_dropped_from_replies(run, lean, add_queries, easy_queries, look) -> None:
    add_queries(*easy_queries)

    def script(body: dict[str, Any]) -> Reply | str:
        text = obedient(body).text
        if "response_format" in body:
            return text.replace('"reason":"', '"reason":"\\u0000').replace('"analysis":"', '"analysis":"\\u0000')
        return f"\0{text}"

    async with ScriptedServer(script) as server:
        finished = await run(lean(url=server.url))
    assert look.ends(finished.id) == {"accepted": 12}


async def test_a_worker_that_was_taken_for_dead_does_not_stop_the_run_of_the_others(
    registry, lean, run, add_queries, easy_queries, look, assert_resumes
) -> None:
    add_queries(*easy_queries)

    def silence(body: dict[str, Any]) -> Reply:
        with registry.connection(autocommit=True) as connection:
            connection.execute("UPDATE workers SET seen_at = now() - interval '1 hour'")
            connection.execute(FREE_DEAD_CALLS, {"worker": 0, "run": 1})
        return obedient(body)

    async with ScriptedServer(silence) as server:
        recipe = lean(url=server.url)
        with pytest.raises(WorkerLost, match="others have its work"):
            await run(recipe)
    [row] = look.runs()
    assert (row.state, row.reason) == (RunState.OPEN, None)
    await assert_resumes(lean(), row.id)
