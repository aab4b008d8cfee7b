"""Trajectories end to end: recorded, developed in a workspace, emulated; with a mode for every step."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.call import FinishReason, Reply
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import RunInterrupted, SandboxMissing
from kat_data.pipeline.publish import publish_run
from kat_data.registry import queries
from kat_data.registry.lineage import sample_lineage
from kat_data.sandbox.open import open_sandbox
from kat_data.snapshots.verify.verify import verify
from kat_data.testing import a_query
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
        mode = "think_on" if "Result of" in said[-1].rpartition("Last ")[2] else "think_off"
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
        lineage = sample_lineage(connection, str(sample["id"]))
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
    assert verifiers == ["tool_call/3", "tool_call/3", "panel/1", "panel/1"]
    written = publish_run(registry, tmp_path, row.id, name="t", partial=False, clock=SystemClock())
    assert verify(written.path).problems == ()


async def test_without_the_stage_observe_a_recorded_conversation_costs_nothing(run, lean, add_queries, look) -> None:
    add_queries(recorded("Anna"))
    async with ScriptedServer(agent) as server:
        row = await run(lean(url=server.url))
        assert server.statistics.requests == 0
    assert look.reasons(row.id) == {"unsupported_history"}


SOURCE = "def add(a, b):\n    return a + b"


def developer(body: dict[str, Any]) -> Reply:
    """Plan; write with thought, test without, answer; review without a finding."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    said = [message["content"] for message in body["messages"] if message["role"] != "system"]
    last = said[-1].rpartition("Last ")[2]
    if "steps" in schema:
        return reply({"steps": ["Write add.", "Test it."]})
    if "mode" in schema:
        return reply({"reason": "So.", "mode": "think_off" if "wrote" in last else "think_on"})
    if "analysis" in schema:
        return reply({"analysis": "This is what the step asks."})
    if "check" in schema:
        return reply({"check": "It adds.", "findings": [], "passed": True})
    thinking = {"thinking": "Plain addition."} if "thinking" in schema else {}
    if "all 2 tests passed" in last:
        return reply({**thinking, "explanation": "It adds two numbers.", "calls": []})
    if "wrote" in last:
        return reply({**thinking, "explanation": "I test it.", "calls": [{"name": "run_tests", "arguments": {}}]})
    write = {"name": "write_file", "arguments": {"path": "solution.py", "content": SOURCE}}
    return reply({**thinking, "explanation": "I write it.", "calls": [write]})


DEVELOPING = ["normalise", {"vote_mode": {"random_share": 0}}, "develop", "verify", "judge_mode", "observe"]


@pytest.fixture
def developing(lean):
    def make(url: str, **parts: Any) -> dict[str, Any]:
        recipe = lean(url=url, stages=DEVELOPING, **parts)
        recipe["roles"] |= {role: [{"model": "one"}] for role in ("planner", "coder", "reviewer")}
        return recipe

    return make


def code_query() -> Query:
    tests = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]
    spec = VerifierSpec(kind=VerifierKind.CODE, options={"tests": tests, "entry": "add"})
    return a_query("Write add(a, b).", reference=SOURCE, category=Category.CODE, verifier=spec)


async def test_agents_develop_a_program_in_a_workspace(registry, run, developing, add_queries, look, tmp_path) -> None:
    try:
        sandbox = open_sandbox("auto")
    except SandboxMissing as error:
        pytest.skip(str(error))
    add_queries(code_query())
    async with ScriptedServer(developer) as server:
        row = await run(developing(server.url), open_sandbox=lambda: sandbox)
        plans = sum("steps" in json.dumps(body.get("response_format", "")) for body in server.bodies)
    assert plans == 1  # asked for at each of three steps, paid for once
    assert look.ends(row.id) == {"accepted": 1}
    with registry.engine.connect() as connection:
        [sample] = queries.list_samples(connection, row.id, 10)
        lineage = sample_lineage(connection, str(sample["id"]))
    turns = sample["sample"]["turns"]
    assert [(turn["mode"], turn["answer"], turn["results"]) for turn in turns] == [
        ("think_on", "I write it.", ["wrote solution.py: 2 lines"]),
        ("think_off", "I test it.", ["all 2 tests passed"]),
        ("think_on", "It adds two numbers.", []),
    ]
    assert sample["sample"]["tools"][0]["function"]["name"] == "write_file"
    assert [r["role"] for r in lineage["candidates"][-1]["rounds"]] == ["planner", "coder", "reviewer"]
    assert lineage["verdicts"][-1]["reward"] == 1.0
    written = publish_run(registry, tmp_path, row.id, name="t", partial=False, clock=SystemClock())
    assert verify(written.path).problems == ()
    assert written.manifest.hashed.transitions == {"code": {"off_on": 1, "on_off": 1}}


async def test_a_trajectory_goes_on_after_a_stop_as_if_nothing_was(run, developing, add_queries, look, server) -> None:
    """The workspace and its tools are made anew from what is stored."""
    try:
        sandbox = open_sandbox("auto")
    except SandboxMissing as error:
        pytest.skip(str(error))
    add_queries(code_query())
    stop = asyncio.Event()

    def script(body: dict[str, Any]) -> Reply:
        if "wrote solution.py" in json.dumps(body["messages"]):
            stop.set()
        return developer(body)

    async with ScriptedServer(script) as server:
        with pytest.raises(RunInterrupted):
            await run(developing(server.url), stop=stop, open_sandbox=lambda: sandbox)
        row = await run(developing(server.url), open_sandbox=lambda: sandbox)
        assert server.statistics.duplicates == 0
    assert look.ends(row.id) == {"accepted": 1}


async def test_without_a_sandbox_no_trajectory_is_developed(run, developing, add_queries, look) -> None:
    add_queries(code_query())
    async with ScriptedServer(developer) as server:
        row = await run(developing(server.url))
    assert look.reasons(row.id) == {"no_sandbox"}


def customer(body: dict[str, Any]) -> Reply:
    """An agent that looks an order up, the system behind its tools, and a panel that likes what it sees."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    said = [message["content"] for message in body["messages"] if message["role"] != "system"]
    if "mode" in schema:
        return reply({"reason": "So.", "mode": "think_off"})
    if "score" in schema:
        return reply({"reason": "no fault", "score": 5, "good": True})
    if "analysis" in schema:
        return reply({"analysis": "This is what the step asks."})
    if "result" in schema:
        return reply({"result": {"status": "sent"}})
    if "Result of" in said[-1]:
        return reply({"explanation": "Your order was sent.", "calls": []})
    return reply({"explanation": "I look.", "calls": [{"name": "get_order", "arguments": {"order_id": "#7"}}]})


async def test_an_emulated_environment_answers_and_the_panel_judges_the_whole(
    registry, run, lean, add_queries, look
) -> None:
    parameters = {"type": "object", "properties": {"order_id": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "get_order", "parameters": parameters}}
    transcript = (
        Message(role=Role.USER, content="Where is my order #7?"),
        Message(role=Role.TOOL, content='{"status": "sent"}'),
    )
    add_queries(
        Query(messages=transcript[:1], category=Category.TOOL_USE, source="s", licence="l", tools=(tool,)),
        Query(messages=transcript, category=Category.TOOL_USE, source="s", licence="l", tools=(tool,)),
    )
    async with ScriptedServer(customer) as server:
        recipe = lean(url=server.url)
        recipe["roles"]["environment"] = [{"model": "one"}]
        recipe["stages"] += [{"observe": {"emulate": True}}]
        row = await run(recipe)
    assert look.ends(row.id) == {"accepted": 2}
    with registry.engine.connect() as connection:
        sample, _ = queries.list_samples(connection, row.id, 10)
        lineage = sample_lineage(connection, str(sample["id"]))
    assert [turn["results"] for turn in sample["sample"]["turns"]] == [['{"status":"sent"}'], []]
    assert [v["verifier"] for v in lineage["verdicts"]] == ["panel/1", "panel/1", "panel_whole/1"]
