import pytest
from pydantic import BaseModel

from kat_data.domain.call import Api, FinishReason, Sampling
from kat_data.domain.query import Role
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import ReplyCut, ReplyEmpty, ReplyMalformed, RequestRejected
from kat_data.llm.ledger import MemoryLedger
from kat_data.testing import a_conversation, a_model, a_reply

HELLO = a_conversation("Hello")
CUT = a_reply("4", finish_reason=FinishReason.LENGTH)
EMPTY = a_reply(" \n", reasoning="hm")
GARBLED = a_reply('[{"function": null}]', finish_reason=FinishReason.TOOL_CALLS)
GOOD = '{"mode": "think_on"}'


class Vote(BaseModel):
    mode: str


class Told:
    """A script that gives its replies in turn and keeps the requests."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        return self.replies.pop(0)


async def test_chat_sends_what_the_member_is_bound_to():
    told = Told("Hi")
    sampling = Sampling(temperature=0.5, seed=7)
    model = a_model(told, name="qwen", revision="abc", sampling=sampling)
    answer = await model.chat(HELLO, sample=3, tools=({"name": "f"},))
    [request] = told.requests
    assert (request.model, request.revision, request.sampling) == ("qwen", "abc", sampling)
    assert (request.messages, request.sample, request.attempt, request.tools) == (HELLO, 3, 0, ({"name": "f"},))
    assert (answer.reply.text, answer.calls) == ("Hi", (request.key.hex(),))


@pytest.mark.parametrize("bad", [CUT, EMPTY, GARBLED])
async def test_a_bad_reply_is_asked_for_again_under_the_next_attempt(bad):
    told = Told(bad, "Hi")
    answer = await a_model(told).chat(HELLO)
    assert [request.attempt for request in told.requests] == [0, 1]
    assert answer.calls == tuple(request.key.hex() for request in told.requests)


@pytest.mark.parametrize(("bad", "error"), [(CUT, ReplyCut), (EMPTY, ReplyEmpty), (GARBLED, ReplyMalformed)])
async def test_after_the_attempts_the_fault_carries_every_call(bad, error):
    told = Told(bad, bad, bad)
    with pytest.raises(error, match=r"scripted: .* in each of 3 attempts") as raised:
        await a_model(told, attempts=3).chat(HELLO)
    assert raised.value.calls == tuple(request.key.hex() for request in told.requests)
    assert len(raised.value.calls) == 3


async def test_bad_replies_are_stored_and_not_paid_for_again():
    ledger = MemoryLedger()
    with pytest.raises(ReplyCut):
        await a_model(Told(CUT, CUT), ledger=ledger).chat(HELLO)
    nothing_left = Told()
    with pytest.raises(ReplyCut):
        await a_model(nothing_left, ledger=ledger).chat(HELLO)
    assert nothing_left.requests == []
    assert len(ledger.replies) == 2


async def test_a_tool_call_without_text_is_an_answer():
    call = ToolCall(name="f", arguments={})
    reply = a_reply("", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(call,))
    assert (await a_model(Told(reply)).chat(HELLO)).reply.tool_calls == (call,)


async def test_a_rejected_request_is_not_tried_again():
    told = Told(CUT, RequestRejected("too long"))
    with pytest.raises(RequestRejected) as raised:
        await a_model(told).chat(HELLO)
    assert raised.value.calls == (told.requests[0].key.hex(),)


async def test_ask_sends_the_schema_and_reads_a_record():
    told = Told(f"```json\n{GOOD}\n```")
    structured = await a_model(told).ask(HELLO, Vote)
    assert structured.value == Vote(mode="think_on")
    assert structured.calls == (told.requests[0].key.hex(),)
    assert told.requests[0].schema == Vote.model_json_schema()


async def test_a_reply_off_the_schema_gets_one_repair_that_says_what_was_wrong():
    told = Told('{"vote": 1}', GOOD)
    structured = await a_model(told).ask(HELLO, Vote)
    repair = told.requests[1]
    assert structured.value == Vote(mode="think_on")
    assert len(structured.calls) == 2
    assert repair.attempt == 1
    assert [message.role for message in repair.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    assert repair.messages[:1] == HELLO
    assert repair.messages[1].content == '{"vote": 1}'
    assert "mode: Field required" in repair.messages[2].content
    assert '"required":["mode"]' in repair.messages[2].content


async def test_a_second_reply_off_the_schema_is_malformed():
    told = Told("no", "no", GOOD)
    with pytest.raises(ReplyMalformed, match="there is no JSON object") as raised:
        await a_model(told).ask(HELLO, Vote)
    assert len(raised.value.calls) == len(told.requests) == 2


async def test_a_cut_structure_is_asked_for_again_and_never_read():
    told = Told(a_reply(GOOD, finish_reason=FinishReason.LENGTH), '{"mode": "think_off"}')
    structured = await a_model(told).ask(HELLO, Vote)
    assert structured.value == Vote(mode="think_off")
    assert told.requests[1].messages == HELLO


async def test_a_repair_that_is_cut_is_repeated_as_a_repair():
    told = Told("no", CUT, GOOD)
    structured = await a_model(told).ask(HELLO, Vote)
    assert structured.value == Vote(mode="think_on")
    assert told.requests[1].messages == told.requests[2].messages
    assert [request.attempt for request in told.requests] == [0, 1, 2]


async def test_a_reward_model_gives_its_numbers_by_head():
    told = Told("[0.25]", "[0.25, 0.5]", "[0.25, 0.5]")
    talk = a_conversation("Hello", "Hi")
    plain = await a_model(told, api=Api.SCORE, sampling=Sampling(temperature=1.0)).reward(talk)
    assert (dict(plain.values), len(plain.calls)) == ({"reward": 0.25}, 1)
    [request] = told.requests
    assert (request.api, request.messages, request.sampling) == (Api.SCORE, talk, Sampling(max_tokens=0))
    named = await a_model(told, api=Api.CLASSIFY, heads=("style", "truth")).reward(talk)
    assert named.values == {"style": 0.25, "truth": 0.5}
    counted = await a_model(told, api=Api.CLASSIFY).reward(talk)
    assert counted.values == {"reward_0": 0.25, "reward_1": 0.5}


async def test_rewards_that_the_named_heads_do_not_fit_are_malformed():
    model = a_model(Told("[0.25]"), api=Api.CLASSIFY, heads=("style", "truth"))
    with pytest.raises(ReplyMalformed, match="gives 1 rewards, and the recipe names 2 heads") as raised:
        await model.reward(HELLO)
    assert len(raised.value.calls) == 1


async def test_tokens_are_counted_over_every_attempt_and_told_of_faults():
    answer = await a_model(Told(CUT, a_reply("Hi", completion_tokens=7))).chat(HELLO)
    assert answer.tokens == CUT.usage.completion_tokens + 7
    with pytest.raises(ReplyCut) as raised:
        await a_model(Told(CUT, CUT)).chat(HELLO)
    assert raised.value.tokens == 2 * CUT.usage.completion_tokens
