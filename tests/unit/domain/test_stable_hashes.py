"""Hashes that stand in registries, ledgers and snapshots: a change of these literals would orphan what is stored."""

from dataclasses import replace

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Query, Role
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.tag import Tag
from kat_data.domain.tool_call import ToolCall
from kat_data.hashing import content_hash
from kat_data.testing import a_draft, a_query, a_request

CALL = ToolCall(name="f", arguments={"x": 1})


def a_history(*calls: ToolCall) -> Query:
    messages = (
        Message(role=Role.USER, content="Weather?"),
        Message(role=Role.ASSISTANT, content="", tool_calls=calls),
        Message(role=Role.TOOL, content=""),
    )
    return Query(messages=messages, category=Category.TOOL_USE, source="s", licence="l", tools=({"name": "f"},))


def test_a_query_without_calls_hashes_as_ever() -> None:
    conversation = a_query("What is 6 * 7?", "42", "And  8?", system="Be brief.")
    assert conversation.hash.hex() == "2398d2abcfc7663e131f3931ef96c8a8c933d5c632f66e79ae66e93604136c27"
    assert a_history().hash.hex() == "0ea51440aad75284bf2d2f9fa8b0ba685321fb278f1c049692a7f548181d2d05"


def test_a_call_s_key_is_as_ever() -> None:
    request = a_request("Hi", "there", "you", tools=({"name": "f"},))
    assert request.key.hex() == "41997b9a8f2d61c3eac0cd8caa2add7322adfcf8b0daaf724bb111f1d8705359"


def test_a_sample_without_results_hashes_as_ever() -> None:
    turn = Turn(user="u", judge_analysis="j", mode=Mode.ON, thinking="t", answer="a", tool_calls=(CALL,))
    sample = Sample(system=None, tools=({"name": "f"},), turns=(turn,))
    assert content_hash(sample).hex() == "9c1eeb3f7bcf1c5aa8a429cf3f68ba6a17f5b9982f6506cfc4bc29dbe77ebc6d"


def test_a_lineage_without_further_labels_is_as_ever() -> None:
    tag = Tag(model="m", difficulty=6, domain="algebra", verifiable=True, call="ab" * 32)
    tagged = replace(a_draft(a_query("Hi")), tags=(tag,))
    assert tagged.lineage.hex() == "c2b3453fb20f8d649924fc1ab68ed79b46e6f3729aef1d5d3fcd78c88ad11e80"
    plain = {"model": "m", "difficulty": 6, "domain": "algebra", "verifiable": True, "call": "ab" * 32}
    assert tagged.lineage == content_hash((tagged.query.hash.hex(), (plain,), ()))
    labelled = replace(tagged, tags=(replace(tag, labels={"task": "proof"}),))
    assert labelled.lineage != tagged.lineage


def test_calls_make_another_query_and_other_calls_another_again() -> None:
    hashes = {a_history(*calls).hash for calls in ((), (CALL,), (CALL, CALL))}
    assert len(hashes) == 3
