"""Calls: the key covers what decides the reply, and nothing else."""

from dataclasses import replace

import pytest

from kat_data.domain.call import Api, CallRequest, Price, Sampling, Usage
from kat_data.domain.query import Message, Role

REQUEST = CallRequest(model="m", messages=(Message(role=Role.USER, content="Hi"),), sampling=Sampling())
CHANGES = (
    {"model": "n"},
    {"revision": "abc"},
    {"messages": ()},
    {"sampling": Sampling(temperature=0.5)},
    {"sampling": Sampling(seed=0)},
    {"tools": ({"name": "f"},)},
    {"schema": {"type": "object"}},
    {"sample": 1},
    {"attempt": 1},
    {"api": Api.SCORE},
)


def test_equal_requests_have_equal_keys() -> None:
    assert replace(REQUEST).key == REQUEST.key
    assert len(REQUEST.key) == 32


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_field_changes_the_key(change: dict[str, object]) -> None:
    before = REQUEST.key
    assert replace(REQUEST, **change).key != before  # type: ignore[arg-type]


def test_a_key_once_computed_changes_neither_equality_nor_hash() -> None:
    asked, fresh = replace(REQUEST), replace(REQUEST)
    assert asked.key
    assert asked == fresh
    assert "_key" not in repr(asked)


def test_chats_keep_the_key_under_which_recordings_hold_them() -> None:
    assert REQUEST.key.hex() == "60516d0544fec2c59ad212859b83634636b8eee681afe9e113be9132a112673c"


def test_a_price_is_per_million_tokens() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000)
    assert Price(prompt=0.5, completion=2.0).cost(usage) == pytest.approx(1.5)
