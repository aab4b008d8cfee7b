from dataclasses import replace

import pytest

from kat_data.domain.call import Charge, Price, Sampling, Usage
from kat_data.domain.tool_call import ToolCall
from kat_data.llm.estimate import charge, upper_bound
from kat_data.llm.openai_wire import request_body
from kat_data.testing import a_request

PRICE = Price(prompt=0.5, completion=2.0)


def test_the_bound_holds_for_a_token_a_byte_in_any_script():
    ascii_bound = upper_bound(a_request("abcd", sampling=Sampling(max_tokens=100)), PRICE)
    chinese_bound = upper_bound(a_request("你好", sampling=Sampling(max_tokens=100)), PRICE)
    assert ascii_bound.tokens >= 4 + 100
    assert chinese_bound.tokens == ascii_bound.tokens + 2


def test_tools_and_schemas_are_counted():
    plain = upper_bound(a_request(), PRICE).tokens
    assert upper_bound(a_request(tools=({"name": "look_up"},)), PRICE).tokens > plain
    assert upper_bound(a_request(schema={"type": "object"}), PRICE).tokens > plain


def test_the_calls_of_messages_are_counted():
    plain = a_request("Hi", "there")
    call = ToolCall(name="f", arguments={"text": "x" * 1000})
    calling = replace(plain, messages=(plain.messages[0], replace(plain.messages[1], tool_calls=(call,))))
    more = upper_bound(calling, Price()).tokens - upper_bound(plain, Price()).tokens
    assert more >= len(request_body(calling)) - len(request_body(plain))


def test_a_charge_is_the_price_of_its_tokens():
    spent = charge(Usage(prompt_tokens=2_000_000, completion_tokens=500_000), PRICE)
    assert spent == Charge(usd=pytest.approx(2.0), tokens=2_500_000)
