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


async def test_a_query_without_user_message_is_empty(tools):
    query = replace(a_query(), messages=(Message(role=Role.SYSTEM, content="Be brief."),))
    assert await normalised(tools, query) == Dropped(reason=DropReason.EMPTY_QUERY)


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
RECORD = (
    Message(role=Role.USER, content="Weather? "),
    Message(role=Role.ASSISTANT, content="", tool_calls=(CALL,)),
    Message(role=Role.TOOL, content=""),
)


async def test_a_recorded_conversation_keeps_its_calls_and_empty_results(tools):
    query = replace(a_query(), messages=RECORD, tools=({"type": "function", "function": {"name": "weather"}},))
    draft = await normalised(tools, query)
    assert draft.query.messages == (replace(RECORD[0], content="Weather?"), *RECORD[1:])
