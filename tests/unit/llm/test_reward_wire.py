import json
import math

import pytest

from kat_data.domain.call import Api, Usage
from kat_data.llm.reward_wire import read_rewards, reward_body, unit_rewards
from kat_data.testing import a_conversation, a_reply, a_request

TALK = a_conversation("What is 2 + 3?", "5")


def body(api, messages=TALK):
    return json.loads(reward_body(a_request(api=api, messages=messages, model="rm")))


def document(**entry):
    return {"data": [{"index": 0, **entry}], "usage": {"prompt_tokens": 12, "total_tokens": 12}}


@pytest.mark.parametrize("api", [Api.CLASSIFY, Api.POOLING])
def test_a_conversation_is_sent_as_it_is_for_the_models_own_template(api):
    sent = body(api)
    assert sent["model"] == "rm"
    assert sent["messages"] == [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]
    assert sent["add_generation_prompt"] is False
    assert sent.get("use_activation", True) is (api is Api.CLASSIFY)


def test_a_pair_of_texts_is_sent_to_score():
    assert body(Api.SCORE) == {"model": "rm", "text_1": "What is 2 + 3?", "text_2": "5"}
    longer = body(Api.SCORE, a_conversation("Hi", "Hello", "And?", "So.", system="Be kind."))
    assert longer["text_1"] == "system: Be kind.\n\nuser: Hi\n\nassistant: Hello\n\nuser: And?"
    assert longer["text_2"] == "So."


@pytest.mark.parametrize(
    ("api", "entry", "values"),
    [
        (Api.CLASSIFY, {"probs": [0.9]}, [0.9]),
        (Api.CLASSIFY, {"probs": [0.1, 0.9], "label": "good"}, [0.1, 0.9]),
        (Api.SCORE, {"score": 0.25}, [0.25]),
        (Api.POOLING, {"data": [2]}, [2.0]),
        (Api.POOLING, {"data": [[-1.0], [0.5], [3.0]]}, [3.0]),
    ],
)
def test_numbers_are_read_where_each_api_puts_them(api, entry, values):
    reply = read_rewards(document(**entry), a_request(api=api))
    assert json.loads(reply.text) == values
    assert reply.usage == Usage(prompt_tokens=12)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"data": []}, {"choices": []}, [], document(probs=[]), document(probs=["x"]), document(probs=[math.nan])],
    ids=str,
)
def test_a_body_without_numbers_is_refused(wrong):
    with pytest.raises(ValueError, match=r"rewards|classify|could not convert"):
        read_rewards(wrong, a_request(api=Api.CLASSIFY))


def test_without_a_count_tokens_are_estimated():
    reply = read_rewards({"data": [{"score": 1}]}, a_request(api=Api.SCORE, messages=TALK))
    assert reply.usage == Usage(prompt_tokens=4, estimated=True)


def test_raw_rewards_are_squashed_in_order_and_shares_stay():
    raw = unit_rewards(a_reply("[-1000, -2, 0, 2, 1000]"), Api.POOLING)
    assert raw == pytest.approx([0.0, 0.1192, 0.5, 0.8808, 1.0], abs=1e-4)
    assert unit_rewards(a_reply("[0.3, 1.2, -0.1]"), Api.SCORE) == [0.3, 1.0, 0.0]
