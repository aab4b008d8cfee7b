"""A workspace as an environment: files that an agent writes, and programs that it runs in the sandbox."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.mode import Mode
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Status, Verdict
from kat_data.stages.parts.arguments import refusal
from kat_data.stages.stage import Tools

SOLUTION = "solution.py"
"""The file that the task's tests are run against."""

MOST_CHARS = 20_000
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*")


def _tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": what} for key, what in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


WORKSPACE_TOOLS = (
    _tool(
        "write_file",
        "Write a file of the workspace, in place of what it held.",
        path=f"Path within the workspace, such as {SOLUTION}.",
        content="The whole content.",
    ),
    _tool("read_file", "Read a file of the workspace.", path="Path within the workspace."),
    _tool(
        "run_python",
        "Run a Python program that can import the workspace's files; returns what it prints.",
        code="The program.",
    ),
    _tool("run_tests", f"Run the task's tests against {SOLUTION}."),
)


def files_of(draft: Draft) -> dict[str, str]:
    """Return the workspace's files after the finished turns: they follow from the calls alone."""
    files: dict[str, str] = {}
    for turn in draft.turns:
        for call in turn.tool_calls:
            _write(files, call)
    return files


def solution_verdict_candidate(source: str, mode: Mode) -> Candidate:
    """Return the program as an answer that the query's own verifier can read."""
    fence = "`" * (max((len(run) for run in re.findall("`+", source)), default=2) + 1)
    fence = max(fence, "```", key=len)
    return Candidate(position=0, mode=mode, model="workspace", answer=f"{fence}python\n{source}\n{fence}", calls=())


class Workspace:
    """Does what the calls of an equipped draft say; programs run in the sandbox alone."""

    def knows(self, draft: Draft) -> bool:
        return bool(draft.equipment) and draft.tools == draft.equipment

    async def observe(self, draft: Draft, tools: Tools) -> tuple[str, ...] | Dropped:
        """Do the calls one after another; without a sandbox the draft is dropped."""
        candidate = draft.accepted_candidate
        assert candidate is not None
        files = files_of(draft)
        results: list[str] = []
        for call in candidate.tool_calls:
            result = await self._do(call, files, draft, tools)
            if result is None:
                return Dropped(reason=DropReason.NO_SANDBOX)
            results.append(result)
        return tuple(results)

    async def _do(self, call: ToolCall, files: dict[str, str], draft: Draft, tools: Tools) -> str | None:
        if why := refusal(call, draft.tools) or path_fault(call):
            return f"error: {why}"
        match call.name:
            case "write_file":
                _write(files, call)
                return _wrote(call)
            case "read_file":
                return _read(files, call.arguments["path"])
            case "run_python":
                return await _run(files, call.arguments["code"], tools)
            case _:
                return await _test(files, draft, tools)


def path_fault(call: ToolCall) -> str | None:
    """Return why the call's path, or what it would write, is none for a workspace."""
    path = call.arguments.get("path")
    if path is None:
        return None
    if not isinstance(path, str) or not _PATH.fullmatch(path) or ".." in path.split("/") or len(path) > 100:
        return "the path must lie within the workspace and hold letters, digits, -, _, . and / alone"
    if len(str(call.arguments.get("content", ""))) > MOST_CHARS:
        return f"the content is longer than {MOST_CHARS} characters"
    return None


def _write(files: dict[str, str], call: ToolCall) -> None:
    if call.name == "write_file" and not refusal(call, WORKSPACE_TOOLS) and not path_fault(call):
        files[call.arguments["path"]] = call.arguments["content"]


def _wrote(call: ToolCall) -> str:
    lines = len(call.arguments["content"].splitlines())
    return f"wrote {call.arguments['path']}: {lines} {'line' if lines == 1 else 'lines'}"


def _read(files: Mapping[str, str], path: str) -> str:
    return files[path] if path in files else f"error: there is no file {path}; there {_are(files)}"


def _are(names: Iterable[str]) -> str:
    return f"are {', '.join(sorted(names))}" if names else "is none yet"


async def _run(files: Mapping[str, str], code: str, tools: Tools) -> str | None:
    ran = await tools.execute(files, code)
    if ran is None:
        return None
    return "\n".join(part for part in (ran.output, ran.trouble and f"error: {ran.trouble}") if part)


async def _test(files: Mapping[str, str], draft: Draft, tools: Tools) -> str | None:
    if SOLUTION not in files:
        return f"error: there is no file {SOLUTION}; there {_are(files)}"
    verdict = await tested(files, draft, tools)
    return None if verdict is None else _told(verdict)


async def tested(files: Mapping[str, str], draft: Draft, tools: Tools) -> Verdict | None:
    """Return the verdict of the query's own verifier on the workspace's solution; none without a sandbox."""
    candidate = solution_verdict_candidate(files.get(SOLUTION, ""), Mode.OFF)
    verdict = await tools.verify(draft.query, candidate)
    return None if verdict is None or verdict.status is Status.NOT_VERIFIED else verdict


def _told(verdict: Verdict) -> str:
    """What an agent hears of its tests: how many passed, and why the next one did not."""
    found = verdict.evidence
    if verdict.status is Status.PASSED:
        return f"all {found.get('of', '')} tests passed".replace("  ", " ")
    counted = f"{found['passed']} of {found['of']} tests passed; " if "of" in found else ""
    reason = found.get("reason") or found.get("stderr") or verdict.status.value.replace("_", " ")
    return f"{counted}then: {reason}"
