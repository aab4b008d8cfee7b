"""What two near-duplicates have to share beside like words, so that siblings of one template stay two queries.

"A train travels 60 km in 2 hours" and "A train travels 75 km in 3 hours" are alike in almost every word, and are two
tasks; so are "How many animals are taller than Gwen?" and "… shorter …". Words alone decide only where there is no one
right answer: in general queries and conversations. A task that has one - by its category, a reference or a verifier -
is a duplicate only of a task

* with the same numbers, however written ("3", "three", "3.0"), each as often;
* with the same tools to call;
* whose answer, where both are known, is the same: the reference, the options with the right one whatever their order,
  or a program's tests (another program for the same tests is no other answer);
* and, unless that answer is known of both and too particular to agree by chance (a number or formula of two signs and
  more, options, tests), with the same words in the same order, but for a few that only glue (`_GLUE`).

Two system messages that differ make two tasks of any kind; where one query has none, the other's is not looked at.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kat_data.domain.category import Category
from kat_data.domain.query import Query, Role, VerifierKind
from kat_data.domain.text import fold
from kat_data.hashing import content_hash

RULE = "task1"
"""Changes whenever other pairs count as one task."""

_OPEN = frozenset({Category.GENERAL, Category.MULTI_TURN})

_GLUE = frozenset(
    "the a an of to in at on for and that this these is are was be please kindly what which find compute calculate "
    "determine evaluate solve give state tell me you your write express answer as following 的 了 请 是 求 问".split()
)
_WORDS = {
    **{word: n for n, word in enumerate("zero one two three four five six seven eight nine ten".split())},
    **{word: n for n, word in enumerate("eleven twelve thirteen fourteen fifteen sixteen".split(), 11)},
    **{word: n for n, word in enumerate("seventeen eighteen nineteen".split(), 17)},
    **{word: 10 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)},
    **{"hundred": 100, "thousand": 1000, "million": 10**6, "dozen": 12, "half": Fraction(1, 2), "twice": 2},
    **{"third": 3, "quarter": 4, "once": 1, "double": 2, "triple": 3},
    **{sign: n for n, sign in enumerate("零一二三四五六七八九十")},
    **{"两": 2, "半": Fraction(1, 2), "百": 100, "千": 1000, "万": 10000},
}
_NUMBER = re.compile(
    r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[" + "".join(w for w in _WORDS if len(w) == 1) + "]|"
    r"\b(?:" + "|".join(w for w in _WORDS if len(w) > 1) + r")s?\b"
)
_TOKEN = re.compile(r"\w+|[^\w\s.,;:!?'\"`$…。，、；：！？“”‘’]")
_HEADING = re.compile(r"^\W*(?:(?:question|problem|exercise|example|task|q|no|第|题|问题|例)\W{0,3}\d+|\d{1,4}[.)、])\W+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What of a query is compared beside likeness; where it has no one answer, `system` alone counts."""

    one_answer: bool
    numbers: tuple[Fraction, ...]
    words: tuple[str, ...]
    answer: str | None
    telling: bool
    tools: frozenset[str]
    system: str | None


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
        words=tuple(word for word in _TOKEN.findall(text) if word not in _GLUE),
        answer=answer,
        telling=answer is not None and _is_telling(query, answer),
        tools=frozenset(str(tool.get("function", tool).get("name", "")) for tool in query.tools),
        system=fold(query.system) if query.system else None,
    )


def same_task(one: Task, other: Task) -> bool:
    """Whether two queries of like words are one."""
    if one.system and other.system and one.system != other.system:
        return False
    if not (one.one_answer or other.one_answer):
        return True
    if one.numbers != other.numbers or one.tools != other.tools:
        return False
    known = one.answer is not None and other.answer is not None
    if known and one.answer != other.answer:
        return False
    return (known and one.telling and other.telling) or one.words == other.words


def numbers(text: str) -> tuple[Fraction, ...]:
    """Return the numbers of a folded text in order of size, whether in digits or words."""
    return tuple(sorted(_value(found) for found in _NUMBER.findall(text)))


def _without_heading(text: str) -> str:
    return _HEADING.sub("", fold(unicodedata.normalize("NFKC", text)).casefold(), count=1)


def _value(number: str) -> Fraction:
    if number[0].isdecimal():
        return Fraction(number.replace(",", ""))
    return Fraction(_WORDS[number] if number in _WORDS else _WORDS[number.removesuffix("s")])


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


def _is_telling(query: Query, answer: str) -> bool:
    if query.verifier and query.verifier.kind in (VerifierKind.CODE, VerifierKind.CHOICE):
        return True
    return query.category not in _OPEN and len(answer) > 1 and any(sign.isdecimal() for sign in answer)
