from dataclasses import replace

import pytest

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.query import Message, Role
from kat_data.domain.template import RESERVED_TAGS
from kat_data.domain.tool_call import ToolCall
from kat_data.stages.normalise import Normalise
from kat_data.testing import a_draft, a_query


async def normalised(tools, query, **options):
    return await Normalise(**options).run(a_draft(query), tools())


async def test_every_message_is_brought_into_its_normal_form(tools):
    draft = await normalised(tools, a_query("Cafe\u0301\r\n\u200b", " Yes \t\n", "And?\ufeff", system="  Be brief. "))
    assert [m.content for m in draft.query.messages] == ["Be brief.", "Café", "Yes", "And?"]
    assert draft.query.hash == a_query("Café", "Yes", "And?", system="Be brief.").hash


async def test_an_empty_system_message_goes(tools):
    draft = await normalised(tools, a_query("Hi", system=" \n"))
    assert draft.query.system is None


@pytest.mark.parametrize("texts", [("\u200b \n",), ("Hi", "Hello", "")])
async def test_an_empty_user_message_drops_the_query(tools, texts):
    assert await normalised(tools, a_query(*texts)) == Dropped(reason=DropReason.EMPTY_QUERY)


async def test_a_query_without_user_message_is_dropped(tools):
    query = replace(a_query(), messages=(Message(role=Role.SYSTEM, content="Be brief."),))
    assert await normalised(tools, query) == Dropped(reason=DropReason.NO_USER_TURN)


async def test_a_megabyte_of_text_is_too_long(tools):
    dropped = await normalised(tools, a_query("word " * 200_000))
    assert (dropped.reason, dropped.detail) == (DropReason.TOO_LONG, "999,999 characters, the recipe allows 20,000")


async def test_damaged_text_drops_the_query(tools):
    dropped = await normalised(tools, a_query("Solve \x0crac{1}{2}", system="Be \x00brief."))
    assert dropped.reason is DropReason.DAMAGED_TEXT
    assert dropped.detail.startswith("message 2 holds the control character U+000C before `rac`")


async def test_what_cannot_be_seen_goes_and_the_query_stays(tools):
    draft = await normalised(tools, a_query("Say\x07 \u202ehi\u202c\x00!"))
    assert draft.user_text == "Say hi!"


async def test_a_tool_without_schema_drops_the_query(tools):
    tool = {"type": "function", "function": {"name": "add"}}
    dropped = await normalised(tools, a_query(tools=(tool,)))
    assert dropped.reason is DropReason.TOOL_WITHOUT_SCHEMA
    assert dropped.detail.startswith("tool add has no JSON Schema as its parameters")


async def test_a_query_over_the_limit_is_dropped_and_one_at_the_limit_kept(tools):
    assert isinstance(await normalised(tools, a_query("12345", "6", "789"), max_chars=9), Draft)
    dropped = await normalised(tools, a_query("12345", "6", "789"), max_chars=8)
    assert dropped.reason is DropReason.TOO_LONG
    assert dropped.detail == "9 characters, the recipe allows 8"


@pytest.mark.parametrize("tag", RESERVED_TAGS)
async def test_a_tag_of_the_template_drops_the_query(tools, tag):
    dropped = await normalised(tools, a_query("Hi", "Hello", f"What does {tag} do?"))
    assert dropped.reason is DropReason.RESERVED_TAG
    assert dropped.detail == f"message 3 holds the reserved tag {tag}"


CALL = ToolCall(name="weather", arguments={"city": "Oslo"})
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
RECORD = (
    Message(role=Role.USER, content="Weather? "),
    Message(role=Role.ASSISTANT, content="", tool_calls=(CALL,)),
    Message(role=Role.TOOL, content=""),
)


async def test_a_recorded_conversation_keeps_its_calls_and_empty_results(tools):
    query = replace(a_query(), messages=RECORD, tools=(WEATHER,))
    draft = await normalised(tools, query)
    assert draft.query.messages == (replace(RECORD[0], content="Weather?"), *RECORD[1:])
