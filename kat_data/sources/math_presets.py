"""Presets `gsm8k` and `math`: problems whose reference is an expression or a number."""

import re

from kat_data.domain.category import Category
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.sources.conversation import user_message
from kat_data.sources.fields import Answers, Fields
from kat_data.sources.row_error import RowError

_MATH = VerifierSpec(kind=VerifierKind.MATH)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def gsm8k(fields: Fields, _: Answers | None) -> Query:
    """GSM8K: `question`, and `answer` with the result behind `####`."""
    question = fields.text("prompt", "question")
    _before, mark, result = fields.text("answer", "answer").rpartition("####")
    reference = result.strip().replace(",", "")
    if not mark or not reference:
        raise RowError("the answer has no result behind ####")
    return _query(fields, question, reference)


def math(fields: Fields, _: Answers | None) -> Query:
    r"""MATH, SVAMP, MAWPS, CMATH: `problem`, `question`, `Body` and `Question`, or `input`.

    The reference is the last `\boxed` of `solution`, or `answer`, `Answer` or `target`.
    """
    problem = fields.text("prompt", "problem", "question", "Question", "input")
    body = fields.row.get("Body")
    if isinstance(body, str) and fields.find("prompt", "problem", "question") is None:
        problem = f"{body.strip()} {problem}"
    reference = (
        fields.optional_text("reference") or _solution(fields) or fields.text("answer", "answer", "Answer", "target")
    )
    return _query(fields, problem, reference)


def last_boxed(text: str) -> str | None:
    r"""Return what the last `\boxed` of a LaTeX text holds, with balanced braces, or none."""
    marks = list(_BOXED.finditer(text))
    if not marks:
        return None
    start = marks[-1].end()
    if not text.startswith("{", start):
        return text[start : start + 1].strip() or None
    depth = 0
    for token in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0:
            return text[start + 1 : token.start()].strip() or None
    return None


def _solution(fields: Fields) -> str | None:
    solution = fields.row.get("solution")
    return last_boxed(solution) if isinstance(solution, str) else None


def _query(fields: Fields, problem: str, reference: str) -> Query:
    return fields.query(
        messages=user_message(problem), category=Category.MATH, reference=reference.strip(), verifier=_MATH
    )
