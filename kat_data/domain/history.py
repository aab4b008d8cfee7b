"""Histories: what a source's own conversation did step by step, and conversations as plain text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import orjson

from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer of the source's assistant, with what it answers.

    `user` is empty where it answers the results of the step before. `results` are what its own calls gave; `answered`
    says that the assistant spoke at all.
    """

    user: str
    answer: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    results: tuple[str, ...] = ()
    answered: bool = False


def is_recorded(messages: Sequence[Message]) -> bool:
    """Whether the conversation holds results of its calls, so that it can be answered along its own steps."""
    return has_results(messages) and history_flaw(messages) is None


def has_results(messages: Sequence[Message]) -> bool:
    """Whether the conversation holds results of tools."""
    return any(message.role is Role.TOOL for message in messages)


def steps(messages: Sequence[Message]) -> tuple[Step, ...]:
    """Return the steps of a conversation without `history_flaw`, a leading system message left out.

    Messages of the assistant that follow each other are one step.
    """
    found: list[Step] = []
    for message in messages:
        match message.role:
            case Role.USER:
                found.append(Step(user=message.content))
            case Role.ASSISTANT:
                if found and found[-1].results:
                    found.append(Step(user=""))
                if found:
                    found[-1] = _answered(found[-1], message)
            case Role.TOOL if found:
                found[-1] = replace(found[-1], results=(*found[-1].results, message.content))
            case _:
                pass
    return tuple(found)


def _answered(step: Step, message: Message) -> Step:
    texts = [text for text in (step.answer, message.content) if text]
    return replace(step, answer="\n\n".join(texts), tool_calls=(*step.tool_calls, *message.tool_calls), answered=True)


def history_flaw(messages: Sequence[Message]) -> str | None:
    """Return why the results of tools do not follow the calls that they answer; none where they do.

    Calls that end the conversation, or that the user speaks after, may stand without results.
    """
    calls = results = 0
    spoken = False
    for number, message in enumerate(messages, start=1):
        if message.role is Role.TOOL:
            results += 1
            if results > calls:
                return f"message {number} is the result of no call that the conversation holds"
            continue
        if 0 < results < calls:
            return f"before message {number}, {calls} calls have {results} results"
        spoken = spoken or message.role is Role.USER
        if message.tool_calls and not spoken:
            return f"message {number} calls tools before the user spoke"
        # Messages of the assistant that follow each other make their calls together.
        calls = len(message.tool_calls) + (calls if message.role is Role.ASSISTANT and not results else 0)
        results = 0
    return f"at the end, {calls} calls have {results} results" if 0 < results < calls else None


def calls_as_text(answer: str, calls: Sequence[ToolCall]) -> str:
    """Return an answer with its tool calls as text: what judging models see."""
    lines = [f"{call.name}({orjson.dumps(call.arguments).decode()})" for call in calls]
    return "\n".join([answer, "Calls:", *lines]) if lines else answer


def as_text(messages: Sequence[Message], *, speaker: Role = Role.TOOL) -> tuple[Message, ...]:
    """Return the messages with calls and results as text alone; without any they are returned as they are.

    The results of one message's calls are one message of `speaker`: an endpoint that takes no tools needs the user.
    """
    return tuple(_texts(messages, speaker))


def _texts(messages: Sequence[Message], speaker: Role) -> Iterator[Message]:
    names: list[str] = []
    results: list[str] = []
    for message in messages:
        if message.role is Role.TOOL:
            name = names[len(results)] if len(results) < len(names) else "a tool"
            results.append(f"Result of {name}:\n{message.content}")
            continue
        if results:
            yield Message(role=speaker, content="\n\n".join(results))
        names, results = [call.name for call in message.tool_calls], []
        if message.tool_calls:
            yield Message(role=message.role, content=calls_as_text(message.content, message.tool_calls))
        else:
            yield message
    if results:
        yield Message(role=speaker, content="\n\n".join(results))
