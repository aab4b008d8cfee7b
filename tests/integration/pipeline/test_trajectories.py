"""Trajectories end to end: recorded conversations walked step by step, with a mode for every step."""

import json
from pathlib import Path
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.call import FinishReason, Reply
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Query, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.pipeline.publish import publish_run
from kat_data.registry import queries
from kat_data.snapshots.verify import verify
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

FIND = ToolCall(name="find_user", arguments={"email": "anna@example.com"})
ORDER = ToolCall(name="get_order", arguments={"order_id": "#7"})
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "description": "", "parameters": {"type": "object"}}}
    for name in ("find_user", "get_order")
)


def recorded(name: str) -> Query:
    messages = (
        Message(role=Role.SYSTEM, content="Look the user up first."),
        Message(role=Role.USER, content=f"I am {name}. Where is my order #7?"),
        Message(role=Role.ASSISTANT, content="", tool_calls=(FIND,)),
        Message(role=Role.TOOL, content="anna_1"),
        Message(role=Role.ASSISTANT, content="", tool_calls=(ORDER,)),
        Message(role=Role.TOOL, content='{"status": "sent"}'),
        Message(role=Role.ASSISTANT, content="It was sent."),
        Message(role=Role.USER, content="Thanks, and when does it come?"),
        Message(role=Role.ASSISTANT, content="Tomorrow."),
    )
    return Query(messages=messages, category=Category.TOOL_USE, source="s", licence="l", tools=TOOLS)


def agent(body: dict[str, Any]) -> Reply:
    """Vote by step, call what the record calls (Berta's agent looks up another order), and judge everything good."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    said = [message["content"] for message in body["messages"] if message["role"] != "system"]
    if "mode" in schema:
        # Finding the user needs no thought, the order's state does.
        mode = "think_on" if "Result of" in said[-1].rpartition("Last message:")[2] else "think_off"
        return reply({"reason": "So.", "mode": mode})
    if "score" in schema:
        return reply({"reason": "no fault", "score": 5, "good": True})
    if "analysis" in schema:
        return reply({"analysis": "This is what the step asks."})
    if "calls" in schema:
        return obedient(body)
    last = body["messages"][-1]
    thinking = "The result tells more."
    if last["role"] == "tool" and last["name"] == "get_order":
        return Reply(text="Your order was sent.", reasoning=thinking, finish_reason=FinishReason.STOP)
    if last["content"].startswith("Thanks"):
        return Reply(text="It comes tomorrow.", finish_reason=FinishReason.STOP)
    call = FIND if last["role"] == "user" else ORDER
    if "Berta" in said[0] and call is ORDER:
        call = ToolCall(name="get_order", arguments={"order_id": "#8"})
    return Reply(
        text=f"I call {call.name}.", reasoning=thinking, tool_calls=(call,), finish_reason=FinishReason.TOOL_CALLS
    )


def reply(value: dict[str, Any]) -> Reply:
    return Reply(text=json.dumps(value), finish_reason=FinishReason.STOP)


async def test_a_recorded_conversation_becomes_a_trajectory_with_a_mode_for_every_step(
    registry, run, lean, add_queries, look, tmp_path: Path
) -> None:
    add_queries(recorded("Anna"), recorded("Berta"))
    async with ScriptedServer(agent) as server:
        recipe = lean(url=server.url)
        recipe["models"]["one"] |= {"native_tools": True, "native_reasoning": True}
        recipe["stages"] += ["observe"]
        row = await run(recipe)
    assert look.ends(row.id) == {"accepted": 1, "dropped": 1}
    assert look.reasons(row.id) == {"off_record"}
    with registry.engine.connect() as connection:
        [sample] = queries.list_samples(connection, row.id, 10)
        lineage = queries.sample_lineage(connection, str(sample["id"]))
    turns = sample["sample"]["turns"]
    assert [(turn["user"][:6], turn["mode"], turn["results"]) for turn in turns] == [
        ("I am A", "think_off", ["anna_1"]),
        ("", "think_on", ['{"status": "sent"}']),
        ("", "think_on", []),
        ("Thanks", "think_off", []),
    ]
    assert [turn["results"] for turn in lineage["turns"]] == [["anna_1"], ['{"status": "sent"}'], None, None]
    assert [len([v for v in lineage["votes"] if v["turn"] == turn]) for turn in range(4)] == [1, 1, 1, 1]
    assert all(turn["judge_analysis"] for turn in turns)
    verifiers = [v["verifier"] for v in lineage["verdicts"]]
    assert verifiers == ["tool_call/2", "tool_call/2", "panel/1", "panel/1"]
    written = publish_run(registry, tmp_path, row.id, name="t", partial=False, clock=SystemClock())
    assert verify(written.path).problems == ()


async def test_without_the_stage_observe_a_recorded_conversation_costs_nothing(run, lean, add_queries, look) -> None:
    add_queries(recorded("Anna"))
    async with ScriptedServer(agent) as server:
        row = await run(lean(url=server.url))
        assert server.statistics.requests == 0
    assert look.reasons(row.id) == {"unsupported_history"}
