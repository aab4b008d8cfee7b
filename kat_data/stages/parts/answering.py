"""Having a model answer the turn under work: which prompt it gets, and how its reply is read."""

from dataclasses import dataclass
from typing import Any

import orjson

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.history import as_text, calls_as_text
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Role, VerifierKind
from kat_data.domain.text import normalise
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import BadReply, ReplyMalformed
from kat_data.llm.model import Answer, Model
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.replies import tool_function, tools_reply
from kat_data.stages.parts.thinking import split_headed, split_tagged

PROMPTS = ("answer.v1", "reason.v1", "call_tools.v1", "call_tools.v2")

_FORMS = {VerifierKind.MATH: "math", VerifierKind.CHOICE: "choice", VerifierKind.CODE: "code"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One reply read as an answer, all texts normalised; `calls` are ledger keys, hex, `tokens` what they wrote."""

    model: str
    answer: str
    calls: tuple[str, ...]
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: int = 0


async def answer_turn(draft: Draft, model: Model, mode: Mode, *, position: int, sample: int) -> Candidate:
    """Return the candidate at `position`; a reply that cannot be read makes one with a `fault`: it was paid for."""
    try:
        written = await write_answer(draft, model, reasoned=mode is Mode.ON, sample=sample)
    except BadReply as error:
        return unreadable(error, model=model.name, mode=mode, position=position)
    return Candidate(
        position=position,
        mode=mode,
        model=model.name,
        answer=written.answer,
        calls=written.calls,
        thinking=written.thinking if mode is Mode.ON else "",
        tool_calls=written.tool_calls,
        tokens=written.tokens,
    )


def unreadable(error: BadReply, *, model: str, mode: Mode, position: int) -> Candidate:
    """Return the candidate of a reply that cannot be used."""
    return Candidate(
        position=position,
        mode=mode,
        model=model,
        answer="",
        calls=error.calls,
        fault=error.code,
        tokens=error.tokens,
    )


def shown(answer: Written | Candidate) -> str:
    """Return the answer with its tool calls as text: what judging models see."""
    return calls_as_text(answer.answer, answer.tool_calls)


async def write_answer(draft: Draft, model: Model, *, reasoned: bool, sample: int, brief: bool = True) -> Written:
    """Have `model` answer the turn; `reasoned` asks for thinking too, `brief` for no more than the answer needs.

    Raises `BadReply`, also where the thinking or the answer is missing.
    """
    if draft.tools and not model.native_tools:
        written = await _call_by_schema(draft, model, reasoned=reasoned, sample=sample)
    elif reasoned and not model.native_reasoning:
        written = await _reason_by_prompt(draft, model, sample)
    else:
        written = await _answer_natively(draft, model, brief=brief and not reasoned, sample=sample)
    return complete(written, reasoned=reasoned)


def complete(written: Written, *, reasoned: bool) -> Written:
    """Return `written` if it has an answer, and thinking where it is `reasoned`; raises `ReplyMalformed` otherwise."""
    missing = "answer" if not written.answer else "thinking" if reasoned and not written.thinking else None
    if missing:
        raise ReplyMalformed(f"{written.model} gave no {missing}", calls=written.calls, tokens=written.tokens)
    return written


def answer_form(draft: Draft) -> dict[str, str]:
    """Return how prompts ask for the final answer: its `form` and, for a program, the `entry` that it must define."""
    spec = draft.task.verifier
    if draft.tools:
        form = "tools"
    elif spec:
        form = _FORMS.get(spec.kind, "plain")
    else:
        form = "math" if draft.query.category is Category.MATH else "plain"
    return {"form": form, "entry": str(spec.options.get("entry") or "") if spec else ""}


async def ask_calls(
    model: Model,
    messages: tuple[Message, ...],
    tools: tuple[dict[str, Any], ...],
    *,
    reasoned: bool,
    sample: int,
    may_answer: bool = False,
    typed: bool = False,
) -> Written:
    """Ask a model that takes no `tools` itself for explanation and calls by schema; the explanation is the answer.

    Where it `may_answer`, it may be as long as an answer to the user; `typed` is for tools of plain schemas.
    """
    schema = tools_reply(tools, reasoned=reasoned, may_answer=may_answer, typed=typed)
    reply = await model.ask(messages, schema, sample=sample)
    return Written(
        model=model.name,
        answer=normalise(reply.value.explanation),
        calls=reply.calls,
        thinking=normalise(reply.value.thinking),
        tool_calls=tuple(ToolCall(name=call.name, arguments=call.arguments) for call in reply.value.calls),
        tokens=reply.tokens,
    )


def tool_lines(tools: tuple[dict[str, Any], ...]) -> list[str]:
    """Return each tool's function as one line of JSON."""
    return [orjson.dumps(tool_function(tool)).decode() for tool in tools]


async def _call_by_schema(draft: Draft, model: Model, *, reasoned: bool, sample: int) -> Written:
    tools, goes_on = draft.tools, draft.answers_results
    prompt = load_prompt("call_tools.v2" if goes_on else "call_tools.v1")
    conversation = as_text(draft.conversation, speaker=Role.USER)
    messages = prompt.before(conversation, tools=tool_lines(tools), reasoned=reasoned)
    return await ask_calls(model, messages, tools, reasoned=reasoned, sample=sample, may_answer=goes_on)


async def _reason_by_prompt(draft: Draft, model: Model, sample: int) -> Written:
    messages = load_prompt("reason.v1").before(draft.conversation, **answer_form(draft))
    reply = await model.chat(messages, sample=sample, tools=draft.tools)
    return _written(model, reply, *split_headed(reply.reply.text))


async def _answer_natively(draft: Draft, model: Model, *, brief: bool, sample: int) -> Written:
    messages = load_prompt("answer.v1").before(draft.conversation, brief=brief, **answer_form(draft))
    reply = await model.chat(messages, sample=sample, tools=draft.tools)
    tagged, answer = split_tagged(reply.reply.text)
    return _written(model, reply, reply.reply.reasoning or tagged, answer)


def _written(model: Model, reply: Answer, thinking: str, answer: str) -> Written:
    return Written(
        model=model.name,
        answer=normalise(answer),
        calls=reply.calls,
        thinking=normalise(thinking),
        tool_calls=reply.reply.tool_calls,
        tokens=reply.tokens,
    )
