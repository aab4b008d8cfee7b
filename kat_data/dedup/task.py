"""What two near-duplicates have to share beside like words, so that siblings of one template stay two queries.

"A train travels 60 km in 2 hours" and "A train travels 75 km in 3 hours" are alike in almost every word, and are two
tasks; so are "How many animals are taller than Gwen?" and "… shorter …". Words alone decide only where there is no one
right answer: in general queries and conversations. A task that has one - by its category, a reference or a verifier -
is a duplicate only of a task

* with the same numbers, however written ("3", "three", "3.0"), each as often;
* with the same tools to call;
* whose answer, where both are known, is the same: the reference, the options with the right one whatever their order,
  or a program's tests (another program for the same tests is no other answer);
* and, unless that answer is known of both and too particular to agree by chance (options, tests, a number or formula of
  two signs and more; one digit from a similarity of 0.9 on), with the same words in the same order, but for a few that
  only glue (`_GLUE`).

Two system messages that differ make two tasks of any kind; where one query has none, the other's is not looked at.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kat_data.dedup.numerals import numbers
from kat_data.domain.category import Category
from kat_data.domain.query import Query, Role, VerifierKind
from kat_data.domain.text import fold
from kat_data.hashing import content_hash

RULE = "task1"
"""Changes whenever other pairs count as one task."""

_ALIKE = 0.9
_NEVER = 2.0
_OPEN = frozenset({Category.GENERAL, Category.MULTI_TURN})

_GLUE = re.compile(
    "the|an?|of|to|in|at|on|for|and|that|this|these|is|are|was|be|please|kindly|what|which|find|compute|calculate|"
    "determine|evaluate|solve|give|state|tell|me|you|your|write|express|answer|as|following|的|了|请|是|求|问"
)
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\w\s.,;:!?'\"`$…。，、；：！？“”‘’]")
_HEADING = re.compile(
    r"^\W*(?:(?:question|problem|exercise|example|task|q|no\.|第|题|问题|例)\W{0,3})?\d{1,4}(?:\.\d+)*"
    r"(?:题\s*[.:)、]?|\s*[.:)、](?=\s)|\s*\n)\s*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What of a query is compared beside likeness; where it has no one answer, `system` alone counts.

    `settles` is the similarity from which on an equal answer is enough.
    """

    one_answer: bool
    numbers: tuple[Fraction, ...]
    words: tuple[str, ...]
    answer: str | None
    settles: float
    tools: frozenset[str]
    system: str | None

    @property
    def strict(self) -> tuple[object, ...]:
        """What has to be equal in two tasks of which one or both have one answer."""
        return (self.numbers, self.tools)


def compared_text(messages: Iterable[Mapping[str, Any]]) -> str:
    """Return what of a stored conversation is compared: all that the user says."""
    return "\n\n".join(message["content"] for message in messages if message["role"] == Role.USER)


def task_of(query: Query) -> Task:
    """Return what tells a query from others of like words."""
    text = _without_heading("\n\n".join(query.user_turns))
    answer = _answer(query)
    return Task(
        one_answer=query.category not in _OPEN or query.reference is not None or query.verifier is not None,
        numbers=numbers(text),
        words=tuple(word for word in _TOKEN.findall(text) if not _GLUE.fullmatch(word)),
        answer=answer,
        settles=_NEVER if answer is None else _settles(query, answer),
        tools=frozenset(str(tool.get("function", tool).get("name", "")) for tool in query.tools),
        system=fold(query.system) if query.system else None,
    )


def same_task(one: Task, other: Task, similarity: float) -> bool:
    """Whether two queries of like words are one."""
    if one.system and other.system and one.system != other.system:
        return False
    if not (one.one_answer or other.one_answer):
        return True
    if one.strict != other.strict:
        return False
    if one.answer is not None and other.answer is not None and one.answer != other.answer:
        return False
    return similarity >= max(one.settles, other.settles) or one.words == other.words


def _without_heading(text: str) -> str:
    return fold(_HEADING.sub("", unicodedata.normalize("NFKC", text).casefold(), count=1))


def _answer(query: Query) -> str | None:
    options = query.verifier.options if query.verifier else {}
    match query.verifier.kind if query.verifier else None:
        case VerifierKind.CODE:
            tests = {name: options[name] for name in ("tests", "cases") if options.get(name)}
            return content_hash(tests).hex() if tests else None
        case VerifierKind.CHOICE if query.reference:
            return _right_option(query.reference, [fold(str(text)).casefold() for text in options.get("choices", ())])
    return None if query.reference is None else fold(query.reference).casefold()


def _right_option(letter: str, options: list[str]) -> str:
    """Return the right option and then all of them, since another edition may stand in another order."""
    place = ord(letter.strip().upper()) - ord("A") if len(letter.strip()) == 1 else -1
    right = options[place] if 0 <= place < len(options) else letter
    return "\n".join((right, *sorted(options)))


def _settles(query: Query, answer: str) -> float:
    """Return from which similarity on the same answer makes the same task."""
    if query.verifier and query.verifier.kind in (VerifierKind.CODE, VerifierKind.CHOICE):
        return 0.0
    if query.category in _OPEN or not any(sign.isdecimal() for sign in answer):
        return _NEVER
    return 0.0 if len(answer) > 1 else _ALIKE
