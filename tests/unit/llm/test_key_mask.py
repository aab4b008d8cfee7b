from kat_data.domain.tool_call import ToolCall
from kat_data.llm.key_mask import KeyMask
from kat_data.testing import a_reply

KEY = "sk/ab+cd=ef 0123456789"


def test_the_key_is_masked_in_every_part_of_a_reply_and_in_every_spelling():
    call = ToolCall(name="f", arguments={"a": [1, None, {"b": f"key {KEY}"}], KEY: 2.5})
    reply = a_reply(f"it is {KEY}", reasoning="sk%2Fab%2Bcd%3Def%200123456789?", tool_calls=(call,))
    clean = KeyMask(KEY)(reply)
    assert (clean.text, clean.reasoning) == ("it is ***", "***?")
    assert clean.tool_calls == (ToolCall(name="f", arguments={"a": [1, None, {"b": "key ***"}], "***": 2.5}),)
    assert (clean.usage, clean.finish_reason) == (reply.usage, reply.finish_reason)


def test_placeholders_and_no_key_at_all_leave_replies_alone():
    reply = a_reply("the word EMPTY stands here")
    assert KeyMask("EMPTY")(reply) == KeyMask(None)(reply) == reply
