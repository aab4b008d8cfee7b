"""The training template (Tables 2 and 3 of the paper): the only place that knows how a turn is written as text.

`render` and `parse` are inverse. They hold fields that are stripped, NFC and free of the template's tags; anything else
is refused with a `TemplateError` that names the field, never escaped in silence. Tags are compared exactly: `<Think>`
and `<think >` are ordinary text.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from kat_data.domain.mode import Mode
from kat_data.domain.pair import Pair
from kat_data.domain.query import Role
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.tool_call import ToolCall, call_id
from kat_data.errors import TemplateError
from kat_data.hashing import canonical_json

RESERVED_TAGS: tuple[str, ...] = (
    "<judge>",
    "</judge>",
    "<think_on>",
    "<think_off>",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
)

_TAG = re.compile("|".join(RESERVED_TAGS))
_SURROGATE = re.compile("[\ud800-\udfff]")
_THINKING = r"<think>\n(?P<thinking>.+)\n</think>\n"
_ANSWER = r"<answer>\n(?P<answer>.+)\n</answer>"
_COMPLETION = re.compile(f"(?:{_THINKING})?{_ANSWER}", re.DOTALL)
_FULL = re.compile(
    r"<judge>\n(?P<judge_analysis>.+)\n</judge>\n\n<(?P<mode>think_on|think_off)>\n(?P<completion><.+>)", re.DOTALL
)
_TRIGGERED = re.compile(r"(?P<user>.+)\n<(?P<mode>think_on|think_off)>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedTurn:
    """What the text of one assistant turn says; `judge_analysis` is empty where the stage-1 form has none."""

    judge_analysis: str
    mode: Mode
    thinking: str
    answer: str


def unholdable(text: str) -> str | None:
    """Return why the template cannot hold `text` as a field, as the end of a sentence; none where it can."""
    if "<" in text and (tag := _TAG.search(text)):
        return f"holds the reserved tag {tag.group()}"
    if text != text.strip():
        return "begins or ends with white space"
    if text.isascii():
        return None
    if _SURROGATE.search(text):
        return "holds a lone surrogate, which is not valid Unicode"
    if not unicodedata.is_normalized("NFC", text):
        return "is not in Unicode form NFC"
    return None


def render(turn: Turn) -> str:
    """Return the whole text of one assistant turn, judge included; tool calls are no part of the text."""
    _require("judge_analysis", turn.judge_analysis)
    completion = render_completion(turn)
    return f"<judge>\n{turn.judge_analysis}\n</judge>\n\n<{turn.mode}>\n{completion}"


def parse(text: str) -> ParsedTurn:
    """Read the text of one assistant turn back; exactly what `render` writes is accepted."""
    match = _FULL.fullmatch(text)
    if not match:
        raise TemplateError(
            "text: expected <judge>…</judge>, a mode tag, then <answer>…</answer> as the template has them"
        )
    _require("judge_analysis", match["judge_analysis"])
    return _parse_completion(match["completion"], Mode(match["mode"]), match["judge_analysis"])


def render_completion(turn: Turn) -> str:
    """Return the stage-1 text of one turn: `<think>…</think>` when on, then `<answer>…</answer>`, no judge."""
    _require_mode(turn.mode, turn.thinking)
    _require("answer", turn.answer)
    thinking = f"<think>\n{turn.thinking}\n</think>\n" if turn.mode is Mode.ON else ""
    return f"{thinking}<answer>\n{turn.answer}\n</answer>"


def parse_completion(text: str, mode: Mode) -> ParsedTurn:
    """Read the stage-1 text of one assistant turn of `mode` back; its judge analysis is empty."""
    return _parse_completion(text, mode, "")


def add_trigger(user: str, mode: Mode) -> str:
    """Return the user's text with the stage-1 trigger as its last line."""
    _require("user", user)
    return f"{user}\n<{mode}>"


def split_trigger(text: str) -> tuple[str, Mode]:
    """Return the user's text and the mode that its last line, the stage-1 trigger, asks for."""
    match = _TRIGGERED.fullmatch(text)
    if not match:
        raise TemplateError("user: expected the trigger <think_on> or <think_off> as the last line")
    _require("user", match["user"])
    return match["user"], Mode(match["mode"])


def render_messages(sample: Sample) -> list[dict[str, Any]]:
    """Return the sample as chat messages (stage 2): system if any, then for every turn its user, assistant and tools.

    A turn that answers the results of the one before has no user message: the tools' messages stand in its place.
    """
    messages = _system_message(sample)
    for index, turn in enumerate(sample.turns):
        messages += [*_asked(sample, index), _assistant(turn, render(turn), index)]
    _require_answered(sample)
    return messages


def parse_messages(messages: Sequence[Mapping[str, Any]], tools: Sequence[dict[str, Any]] = ()) -> Sample:
    """Read `render_messages`' result back; `tools` are the sample's, which messages do not hold."""
    rest = deque(messages)
    system = None
    if rest and rest[0].get("role") == Role.SYSTEM:
        system = _content(rest.popleft(), Role.SYSTEM)
        _require("system", system)
    turns: list[Turn] = []
    while rest:
        turns.append(_parse_turn(rest, turns))
    sample = Sample(system=system, tools=tuple(tools), turns=tuple(turns))
    if not turns:
        raise TemplateError("messages: expected at least one user and one assistant message")
    _require_answered(sample)
    return sample


def render_prompt(sample: Sample) -> list[dict[str, Any]]:
    """Return the messages that ask for the sample's last turn.

    Earlier assistant turns stand in them as their answers and calls alone, as a model sees a conversation.
    """
    messages = _system_message(sample)
    for index, turn in enumerate(sample.turns[:-1]):
        _require("answer", turn.answer)
        messages += [*_asked(sample, index), _assistant(turn, turn.answer, index)]
    return [*messages, *_asked(sample, len(sample.turns) - 1)]


def pair_prompt(pair: Pair) -> list[dict[str, Any]]:
    """Return a query–verifier pair's messages as a model sees them, with made-up ids of calls."""
    messages: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for index, said in enumerate(pair.messages):
        message = _message(said.role, said.content)
        if said.role is Role.ASSISTANT and said.tool_calls:
            waiting = [
                {"id": call_id(index, number), "type": "function", "function": _function(call)}
                for number, call in enumerate(said.tool_calls)
            ]
            message["tool_calls"] = list(waiting)
        elif said.role is Role.TOOL and waiting:
            call = waiting.pop(0)
            message |= {"tool_call_id": call["id"], "name": call["function"]["name"]}
        messages.append(message)
    return messages


def render_prompt_completion(sample: Sample) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the stage-1 form: a prompt whose last user message ends with the trigger, and one message to complete.

    Where the last turn answers results of tools, these follow the message with the trigger.
    """
    last = sample.turns[-1]
    prompt = render_prompt(sample)
    place = last_user(prompt)
    prompt[place] = _message(Role.USER, add_trigger(prompt[place]["content"], last.mode))
    return prompt, [_assistant(last, render_completion(last), len(sample.turns) - 1)]


def last_user(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return the place of the user's last message; raises `TemplateError` where the user says nothing."""
    place = next((i for i in reversed(range(len(messages))) if messages[i].get("role") == Role.USER), None)
    if place is None:
        raise TemplateError("messages: expected a user message")
    return place


def _parse_completion(text: str, mode: Mode, judge_analysis: str) -> ParsedTurn:
    match = _COMPLETION.fullmatch(text)
    if not match:
        raise TemplateError(
            "text: expected <think>…</think> when on, then <answer>…</answer>, as the template has them"
        )
    thinking = match["thinking"] or ""
    _require_mode(mode, thinking)
    _require("answer", match["answer"])
    return ParsedTurn(judge_analysis=judge_analysis, mode=mode, thinking=thinking, answer=match["answer"])


def _require(field: str, text: str) -> None:
    if not text:
        raise TemplateError(f"{field}: is empty")
    if why := unholdable(text):
        raise TemplateError(f"{field}: {why}")


def _require_mode(mode: Mode, thinking: str) -> None:
    if mode is Mode.ON:
        _require("thinking", thinking)
    elif thinking:
        raise TemplateError("thinking: must be empty when the mode is think_off")


def _system_message(sample: Sample) -> list[dict[str, Any]]:
    if sample.system is None:
        return []
    _require("system", sample.system)
    return [_message(Role.SYSTEM, sample.system)]


def _asked(sample: Sample, index: int) -> list[dict[str, Any]]:
    """What the turn answers: the user's message, or the results of the turn before it."""
    turn = sample.turns[index]
    before = sample.turns[index - 1] if index else None
    if before is None or not before.results:
        _require("user", turn.user)
        return [_message(Role.USER, turn.user)]
    if turn.user:
        raise TemplateError("user: must be empty where the turn answers results of tools")
    if len(before.results) != len(before.tool_calls):
        raise TemplateError(f"results: {len(before.results)} for {len(before.tool_calls)} calls")
    return [_result(before, index - 1, number) for number in range(len(before.results))]


def _result(turn: Turn, index: int, number: int) -> dict[str, Any]:
    content = turn.results[number]
    if why := unholdable(content):
        raise TemplateError(f"results: {why}")
    known = {"tool_call_id": call_id(index, number), "name": turn.tool_calls[number].name}
    return {**_message(Role.TOOL, content), **known}


def _require_answered(sample: Sample) -> None:
    if sample.turns and sample.turns[-1].results:
        raise TemplateError("results: no turn answers the last ones")


def _message(role: Role, content: str) -> dict[str, Any]:
    return {"role": role.value, "content": content}


def _assistant(turn: Turn, content: str, index: int) -> dict[str, Any]:
    message = _message(Role.ASSISTANT, content)
    if turn.tool_calls:
        message["tool_calls"] = [
            {"id": call_id(index, number), "type": "function", "function": _function(call)}
            for number, call in enumerate(turn.tool_calls)
        ]
    return message


def _function(call: ToolCall) -> dict[str, str]:
    _require("tool_calls", call.name)
    try:
        arguments = canonical_json(call.arguments).decode()
    except TypeError as error:
        raise TemplateError(f"tool_calls: the arguments of {call.name} are not JSON: {error}") from error
    if tag := _TAG.search(arguments):
        raise TemplateError(f"tool_calls: an argument of {call.name} holds the reserved tag {tag.group()}")
    if orjson.loads(arguments) != call.arguments:
        raise TemplateError(f"tool_calls: the arguments of {call.name} are not the same after JSON")
    return {"name": call.name, "arguments": arguments}


def _parse_turn(rest: "deque[Mapping[str, Any]]", turns: Sequence[Turn]) -> Turn:
    """Take one turn off the front of `rest`: its user message where it has one, the assistant's, and the results."""
    text = "" if turns and turns[-1].results else _user(rest)
    assistant = rest.popleft() if rest else {}
    parsed = parse(_content(assistant, Role.ASSISTANT))
    calls = tuple(_parse_call(call) for call in assistant.get("tool_calls") or ())
    return Turn(
        user=text,
        judge_analysis=parsed.judge_analysis,
        mode=parsed.mode,
        thinking=parsed.thinking,
        answer=parsed.answer,
        tool_calls=calls,
        results=_parse_results(rest, calls, len(turns)),
    )


def _user(rest: "deque[Mapping[str, Any]]") -> str:
    text = _content(rest.popleft(), Role.USER)
    _require("user", text)
    return text


def _parse_results(rest: "deque[Mapping[str, Any]]", calls: Sequence[ToolCall], index: int) -> tuple[str, ...]:
    results: list[str] = []
    while rest and rest[0].get("role") == Role.TOOL:
        if len(results) == len(calls):
            raise TemplateError("results: a message of a tool answers no call")
        message, call = rest.popleft(), calls[len(results)]
        if (message.get("tool_call_id"), message.get("name")) != (call_id(index, len(results)), call.name):
            raise TemplateError("results: expected one message for each call, in the order of the calls")
        results.append(_content(message, Role.TOOL))
        if why := unholdable(results[-1]):
            raise TemplateError(f"results: {why}")
    if results and len(results) != len(calls):
        raise TemplateError(f"results: {len(results)} for {len(calls)} calls")
    return tuple(results)


def _parse_call(call: Mapping[str, Any]) -> ToolCall:
    try:
        name, arguments = call["function"]["name"], orjson.loads(call["function"]["arguments"])
    except (KeyError, TypeError, ValueError) as error:
        raise TemplateError("tool_calls: expected function.name and function.arguments as a JSON text") from error
    if not isinstance(arguments, dict):
        raise TemplateError("tool_calls: function.arguments must be a JSON object")
    parsed = ToolCall(name=name, arguments=arguments)
    _function(parsed)
    return parsed


def _content(message: Mapping[str, Any], role: Role) -> str:
    content = message.get("content")
    if message.get("role") != role or not isinstance(content, str):
        raise TemplateError(f"messages: expected a message of the role {role.value} with a text")
    return content
