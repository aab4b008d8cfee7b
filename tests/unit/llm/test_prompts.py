import hashlib
from importlib.resources import files

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from kat_data.domain.query import Role
from kat_data.errors import NotFoundError
from kat_data.llm.prompts.prompt import Prompt, load_prompt, prompt_names
from kat_data.testing import a_conversation

VALUES = {
    "texts": ["What is 6 * 7?"],
    "domains": ["law", "medicine"],
    "subjects": [("law", "rights and courts", 0), ("tax law", "", 1)],
    "anchors": {1: "easy", 9: "hard"},
    "labels": {"language": {"about": "the language", "values": ["English", "other"]}},
    "examples": ["law", "law", "medicine", "medicine"],
    "conversation": a_conversation("Hi", "Hello", "What is 6 * 7?", system="Be brief."),
    "brief": True,
    "reasoned": True,
    "form": "math",
    "entry": "",
    "tools": ['{"name":"f"}'],
    "answer": "42",
    "attempt": "41",
    "findings": ["It is off."],
    "notes": ["41", "It is off."],
    "task": "What is 6 * 7?",
    "reference": "42",
    "mode": "think_on",
    "mark": "3f2a",
    "first": "42",
    "second": "41",
    "text": "Think hard.",
    "message": "What is 6 * 7?",
    "dimensions": {"style": "5 clear; 1 muddled"},
    "answers": ["41", "42"],
    "native": False,
    "plan": "1. Multiply.",
    "files": [("solution.py", "print(6 * 7)")],
    "tool": '{"name":"f"}',
    "known": "",
    "call": "f({})",
}


def a_prompt(source: str) -> Prompt:
    return Prompt(name="test.v1", source=source, sha256="")


@pytest.mark.parametrize("name", prompt_names())
def test_every_prompt_renders_a_conversation_that_begins_with_its_system_text(name):
    roles = [message.role for message in load_prompt(name).messages(**VALUES)]
    assert roles[0] is Role.SYSTEM
    assert roles[1::2] == [Role.USER] * len(roles[1::2])
    assert roles[2::2] == [Role.ASSISTANT] * len(roles[2::2])
    assert all(message.content for message in load_prompt(name).messages(**VALUES))


@pytest.mark.parametrize("name", prompt_names())
def test_the_hash_is_the_files(name):
    data = files("kat_data.llm.prompts").joinpath(f"{name}.j2").read_bytes()
    assert load_prompt(name).sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        *("vote_mode.v1", "vote_step.v1", "panel.v1", "panel_step.v1", "panel_whole.v1", "improve.v1", "criticise.v1"),
        *("weave.v1", "judge_mode.v1", "improve_calls.v1", "emulate.v1", "plan.v1", "review.v1"),
    ],
)
def test_the_part_before_the_query_is_static(name):
    other = VALUES | {"conversation": a_conversation("Bye"), "answer": "1", "attempt": "2", "notes": [], "findings": []}
    *first, _ = load_prompt(name).messages(**VALUES)
    *second, _ = load_prompt(name).messages(**other)
    assert first == second


def test_what_users_and_models_write_is_text_and_never_template():
    hostile = "{{ 7 * 7 }} {% raw %} {{ ''.__class__ }}"
    *_, user = load_prompt("panel.v1").messages(conversation=a_conversation(hostile), answer=hostile)
    assert user.content.count(hostile) == 2


def test_the_prompt_goes_before_the_conversation_and_joins_its_system_text():
    prompt = a_prompt("{% block system %}Help.{% endblock %}{% block user_1 %}Q{% endblock %}")
    system, example, user = prompt.before(a_conversation("Hi", system="Be brief."))
    assert (system.role, system.content) == (Role.SYSTEM, "Help.\n\nBe brief.")
    assert (example.role, example.content, user.content) == (Role.USER, "Q", "Hi")
    assert [m.content for m in prompt.before(a_conversation("Hi"))] == ["Help.", "Q", "Hi"]


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError, match="answer"):
        load_prompt("panel.v1").messages(conversation=a_conversation("Hi"))


def test_templates_are_sandboxed():
    with pytest.raises(SecurityError):
        a_prompt("{% block system %}{{ ''.__class__.__mro__ }}{% endblock %}").messages()


def test_an_unknown_prompt_names_those_that_there_are():
    with pytest.raises(NotFoundError, match=r"no prompt is named 'vote': use one of answer.v1, .*weave.v1"):
        load_prompt("vote")
