import pytest

from kat_data.domain.call import FinishReason
from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.sample import Turn
from kat_data.domain.tool_call import ToolCall
from kat_data.stages.parts.answering import answer_form, answer_turn, shown
from kat_data.testing import a_candidate, a_draft, a_query, a_reply

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CALL = {"name": "get_weather", "arguments": {"city": "Oslo"}}
OSLO = ToolCall(name="get_weather", arguments={"city": "Oslo"})


async def answer(script, mode=Mode.OFF, query=None, **fields):
    return await answer_turn(a_draft(query), script.model(**fields), mode, position=2, sample=1)


async def test_a_think_off_answer_is_the_normalised_text(player):
    script = player(chat=["  42\r\n"])
    candidate = await answer(script)
    [(_, request)] = script.requests
    assert (candidate.position, candidate.mode, candidate.answer, candidate.thinking) == (2, Mode.OFF, "42", "")
    assert (request.sample, candidate.calls) == (1, (request.key.hex(),))


async def test_native_reasoning_is_the_thinking_of_a_think_on_answer(player):
    script = player(chat=[a_reply("42", reasoning=" Six sevens. ")])
    candidate = await answer(script, Mode.ON, native_reasoning=True)
    assert (candidate.thinking, candidate.answer) == ("Six sevens.", "42")
    assert "### Thinking" not in script.requests[0][1].messages[0].content


async def test_native_reasoning_in_the_text_is_told_apart(player):
    candidate = await answer(player(chat=["<think>\nSix sevens.\n</think>\n\n42"]), Mode.ON, native_reasoning=True)
    assert (candidate.thinking, candidate.answer) == ("Six sevens.", "42")


async def test_native_reasoning_is_left_out_of_a_think_off_answer(player):
    candidate = await answer(player(chat=[a_reply("42", reasoning="Six sevens.")]), native_reasoning=True)
    assert (candidate.thinking, candidate.answer) == ("", "42")


async def test_a_model_without_native_reasoning_is_asked_for_it(player):
    script = player(chat=["### Thinking\nSix sevens.\n\n### Answer\n42"])
    candidate = await answer(script, Mode.ON)
    assert (candidate.thinking, candidate.answer) == ("Six sevens.", "42")
    assert "### Thinking" in script.requests[0][1].messages[0].content


@pytest.mark.parametrize(
    ("mode", "reply", "fault"),
    [
        (Mode.OFF, a_reply("4", finish_reason=FinishReason.LENGTH), "reply_cut"),
        (Mode.OFF, a_reply(" "), "reply_empty"),
        (Mode.ON, a_reply("42"), "reply_malformed"),
        (Mode.OFF, a_reply("\u200b<think>Hm.</think>"), "reply_malformed"),
    ],
)
async def test_an_unusable_reply_is_kept_with_its_fault_and_its_calls(player, mode, reply, fault):
    script = player(chat=[reply])
    candidate = await answer(script, mode)
    assert (candidate.fault, candidate.answer, candidate.position) == (fault, "", 2)
    assert candidate.calls == (script.requests[0][1].key.hex(),)


async def test_a_model_that_takes_tools_gets_them(player):
    reply = a_reply("I look it up.", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(OSLO,))
    script = player(chat=[reply])
    candidate = await answer(script, query=a_query(tools=(WEATHER,)), native_tools=True)
    assert script.requests[0][1].tools == (WEATHER,)
    assert (candidate.answer, candidate.tool_calls) == ("I look it up.", (OSLO,))


async def test_native_calls_without_explanation_are_no_answer(player):
    script = player(chat=[a_reply("", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(OSLO,))])
    candidate = await answer(script, query=a_query(tools=(WEATHER,)), native_tools=True)
    assert candidate.fault == "reply_malformed"


async def test_a_model_that_takes_no_tools_is_asked_by_schema(player):
    script = player(calls=[{"explanation": "I look it up.", "calls": [CALL]}])
    candidate = await answer(script, query=a_query(tools=(WEATHER,)))
    assert '"name":"get_weather"' in script.requests[0][1].messages[0].content
    assert (candidate.thinking, candidate.answer, candidate.tool_calls) == ("", "I look it up.", (OSLO,))


async def test_thinking_before_calls_by_schema(player):
    script = player(calls=[{"thinking": "Oslo it is.", "explanation": "I look it up.", "calls": [CALL]}])
    candidate = await answer(script, Mode.ON, query=a_query(tools=(WEATHER,)))
    assert (candidate.thinking, candidate.tool_calls) == ("Oslo it is.", (OSLO,))


async def test_the_querys_own_system_text_follows_the_prompts(player):
    script = player(chat=["42"])
    await answer(script, query=a_query("Six sevens?", system="You are a pirate."))
    system, user = script.requests[0][1].messages
    assert system.content.endswith("\n\nYou are a pirate.")
    assert "\\boxed{" in system.content
    assert user.content == "Six sevens?"


def spec(kind, **options):
    return VerifierSpec(kind=kind, options=options)


@pytest.mark.parametrize(
    ("fields", "form", "entry"),
    [
        ({}, "math", ""),
        ({"verifier": spec(VerifierKind.CHOICE), "category": Category.SCIENCE}, "choice", ""),
        ({"verifier": spec(VerifierKind.CODE, entry="f"), "category": Category.CODE}, "code", "f"),
        ({"verifier": spec(VerifierKind.KEYWORD), "category": Category.GENERAL}, "plain", ""),
        ({"reference": None}, "math", ""),
        ({"reference": None, "category": Category.SCIENCE}, "plain", ""),
        ({"tools": (WEATHER,)}, "tools", ""),
    ],
)
def test_the_form_of_the_final_answer_is_what_its_verifier_reads(fields, form, entry):
    assert answer_form(a_draft(a_query(**fields))) == {"form": form, "entry": entry}


def test_only_the_last_turn_has_its_verifiers_form():
    query = a_query("One?", "Yes.", "Two?", category=Category.MULTI_TURN)
    turn = Turn(user="One?", judge_analysis="-", mode=Mode.OFF, thinking="", answer="Yes.")
    assert answer_form(a_draft(query))["form"] == "plain"
    assert answer_form(a_draft(query, turns=(turn,)))["form"] == "math"


def test_judging_models_see_the_calls():
    assert shown(a_candidate("42")) == "42"
    assert shown(a_candidate("I look.", tool_calls=(OSLO,))) == 'I look.\nCalls:\nget_weather({"city":"Oslo"})'
