"""Which pairs of like words are one task; each pair is made to differ in one thing."""

from dataclasses import replace
from typing import Any

import pytest

from kat_data.dedup.task import compared_text, same_task, task_of
from kat_data.domain.category import Category
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.testing import a_query

TRAIN = "A train travels {} km in {} hours at the same speed. How far does it go in half an hour?"


def general(text: str, **fields: Any) -> Query:
    return a_query(text, reference=None, category=Category.GENERAL, **fields)


def choice(text: str, reference: str, *options: str) -> Query:
    spec = VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": list(options)})
    return a_query(text, reference=reference, verifier=spec, category=Category.SCIENCE)


def code(text: str, reference: str, *tests: str) -> Query:
    spec = VerifierSpec(kind=VerifierKind.CODE, options={"tests": list(tests), "entry": reference})
    return a_query(text, reference=reference, verifier=spec, category=Category.CODE)


def same(one: Query, other: Query, similarity: float = 0.8) -> bool:
    tasks = task_of(one), task_of(other)
    assert same_task(*tasks, similarity) == same_task(*reversed(tasks), similarity)
    return same_task(*tasks, similarity)


def test_other_numbers_are_another_task_even_with_the_same_answer():
    one, other = TRAIN.format(60, 2), TRAIN.format(75, 2.5)
    assert not same(a_query(one, reference="15"), a_query(other, reference="15"))
    assert not same(a_query(one, reference=None), a_query(other, reference=None), 0.99)
    assert same(a_query(one, reference="15"), a_query(TRAIN.format("60.0", "two"), reference="15"))


def test_another_answer_is_another_task():
    assert not same(a_query("Find the larger of them.", reference="18"), a_query("Find the smaller.", reference="7"))


def test_the_same_answer_of_two_signs_and_more_makes_one_task():
    one, other = "Fred found 35 shells and gave away 18.", "Fred found 35 shells, of which he gave away 18."
    assert same(a_query(one, reference="17"), a_query(other, reference="17"))
    assert not same(a_query(one, reference="7"), a_query(other, reference="7"))
    assert same(a_query(one, reference="7"), a_query(other, reference="7"), 0.9)
    assert not same(a_query(one, reference="yes"), a_query(other, reference="yes"), 0.95)


def test_without_an_answer_all_but_glue_has_to_agree():
    one = a_query("Problem 7. Compute $x^2 + 1$ at the point x = 3.", reference=None)
    assert same(one, a_query("What is $x^2+1$ at point x = 3?", reference="10"))
    assert not same(one, a_query("What is $x^2-1$ at point x = 3?", reference=None), 0.95)
    assert not same(one, a_query("What is $y^2+1$ at point y = 3?", reference=None), 0.95)


def test_general_queries_need_only_the_words():
    assert same(general("Write five tips for a good sleep."), general("Write 7 tips for good sleep, please."))


def test_one_answer_on_either_side_asks_for_the_same_numbers():
    assert not same(general(TRAIN.format(60, 2)), a_query(TRAIN.format(75, 2), reference="15"))
    assert not same(general(TRAIN.format(60, 2)), replace(general(TRAIN.format(75, 2)), reference="yes"))


def test_the_option_counts_and_not_its_letter():
    one = choice("Which gas do plants take in?", "A", "carbon dioxide", "oxygen")
    assert same(one, choice("Which gas do green plants take in?", "B", "oxygen", "Carbon dioxide"))
    assert not same(one, choice("Which gas do plants give off?", "B", "carbon dioxide", "oxygen"))
    assert not same(one, choice("Which gas do plants take in?", "A", "carbon dioxide", "argon"))


def test_the_tests_count_and_not_the_program():
    one = code("Return the sum of a list.", "def f(x): return sum(x)", "assert f([1]) == 1")
    assert same(one, code("Return the sum of the numbers.", "def f(x): ...", "assert f([1]) == 1"))
    assert not same(one, code("Return the product of a list.", "def f(x): return sum(x)", "assert f([1]) == 2"))


def test_other_tools_are_another_task():
    tool, other = ({"type": "function", "function": {"name": name}} for name in ("gcd", "lcm"))
    fields = {"reference": None, "category": Category.TOOL_USE}
    text = "Call it with 12 and 18."
    assert same(a_query(text, tools=(tool,), **fields), a_query(text, tools=(tool,), **fields), 1.0)
    assert not same(a_query(text, tools=(tool,), **fields), a_query(text, tools=(other,), **fields), 1.0)


def test_two_system_messages_that_differ_are_two_tasks():
    assert not same(general("Who are you?", system="Be a pirate."), general("Who are you?", system="Be a nurse."))
    assert same(general("Who are you?", system="Be a pirate."), general("Who are you?"))


@pytest.mark.parametrize("heading", ["Question 12: ", "7. ", "Exercise 3.2) ", "第3题 ", "Problem #8\n"])
def test_a_heading_counts_for_nothing(heading: str):
    text = "What is the sum of 20 and 22?"
    assert same(a_query(heading + text, reference=None), a_query(text, reference=None))


def test_all_that_the_user_says_is_compared():
    messages = [{"role": role, "content": role} for role in ("system", "user", "assistant", "tool", "user")]
    assert compared_text(messages) == "user\n\nuser"
