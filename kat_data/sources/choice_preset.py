"""Preset `mcq`: questions with options, of which one is right."""

import re
import string
from typing import Any

from kat_data.domain.category import Category
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.sources.conversation import user_message
from kat_data.sources.fields import Answers, Fields, as_text, decoded
from kat_data.sources.row_error import RowError

_LETTERED = re.compile(r"\(?([A-Z])[).:]\s*(.*)", re.DOTALL)
_MATHS = re.compile(r"math|algebra|geometry|calculus|statistics", re.IGNORECASE)


def mcq(fields: Fields, _: Answers | None) -> Query:
    """MMLU, AQuA, ARC: `question`, `choices` or `options`, and `answer` or `correct` as index, letter or text."""
    question = fields.text("prompt", "question")
    choices = _choices(fields.find("choices", "choices", "options"))
    letter = _letter(fields.find("answer", "answer", "correct", "answerKey", "target"), choices)
    lines = "\n".join(f"{name}. {text}" for name, text in zip(string.ascii_uppercase, choices, strict=False))
    return fields.query(
        messages=user_message(f"{question.strip()}\n\n{lines}"),
        category=_category(fields),
        reference=letter,
        verifier=VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": choices}),
    )


def _choices(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = value["text"] if isinstance(value.get("text"), list) else list(value.values())
    if isinstance(value, str):
        value = decoded(value)
    if not isinstance(value, list) or not 2 <= len(value) <= len(string.ascii_uppercase):
        raise RowError("the choices are not a list of 2 to 26 texts")
    texts = [as_text(item, "a choice").strip() for item in value]
    return _without_letters(texts)


def _without_letters(texts: list[str]) -> list[str]:
    """Strip `A)` and the like where every choice begins with its own letter."""
    matches = [_LETTERED.fullmatch(text) for text in texts]
    bare = [
        match[2] for match, name in zip(matches, string.ascii_uppercase, strict=False) if match and match[1] == name
    ]
    return bare if len(bare) == len(texts) else texts


def _letter(answer: Any, choices: list[str]) -> str:
    letters = string.ascii_uppercase[: len(choices)]
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return letters[answer]
    if isinstance(answer, str):
        bare = answer.strip().strip("().:")
        if len(bare) == 1 and bare.upper() in letters:
            return bare.upper()
        if choices.count(answer.strip()) == 1:
            return letters[choices.index(answer.strip())]
    raise RowError(f"the answer {answer!r} names none of the {len(choices)} choices")


def _category(fields: Fields) -> Category:
    if named := fields.optional_text("category"):
        return read_category(named)
    subject = fields.find("subject", "subject", "type", "category")
    return Category.MATH if isinstance(subject, str) and _MATHS.search(subject) else Category.SCIENCE


def read_category(name: str) -> Category:
    """Return the category of that name; raises `RowError` where there is none."""
    try:
        return Category(name)
    except ValueError:
        raise RowError(f"{name!r} is no category: {', '.join(Category)}") from None
