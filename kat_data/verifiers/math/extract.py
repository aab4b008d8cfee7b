r"""The final answer of a full reply, taken once: the last `\boxed{}`, `#### x` or stated answer, else the last value.

A statement after the last box wins over the box if it states a value: models correct themselves towards the end.
Only the last 20,000 characters are read, and every pattern is bounded on them.
"""

import re
from dataclasses import dataclass, replace

from kat_data.verifiers.math.framing import continues_plainly, has_framing, is_plain
from kat_data.verifiers.math.sentence import (
    SENTENCE_END,
    first_clause,
    is_prose,
    is_retracted,
    is_supposed,
    main_clause,
    number_in,
    states_no_answer,
)
from kat_data.verifiers.math.surroundings import is_part, trailing

TAIL = 20_000

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_GLUE = r"(?:[\s$.,;:()\[\]\\*]|\\q?quad)*"
_BETWEEN_BOXES = re.compile(
    rf"{_GLUE}(?:\\text\{{)?\s*(?:for (?:part )?\([a-z]\))?\s*"
    rf"(and|or alternatively|or (?:maybe|perhaps|possibly)|or|alternatively|also|和|或|及|/|\|)?"
    rf"\s*\}}?{_GLUE}(?:[A-Za-z]\s*=\s*)?"
)
_CONDITION = re.compile(
    r"^[^\n]*\b(?:if|when|otherwise|instead of|rather than|for (?:odd|even))\b[^\n]*$", re.IGNORECASE
)
_ALTERNATIVE = re.compile(r"or\b.*|或|alternatively|also|[/|]")
_THINKING = re.compile(r"<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_UNBRACED = re.compile(r"\\boxed\s+(\d|[A-Za-z])(?![\w.,/^({\\+*-])")
_HASHES = re.compile(r"^####[ \t]*(.+)$", re.MULTILINE)
_STATED = re.compile(
    r"(?:\b(?<!wrong )(?<!incorrect )(?<!false )"
    r"(?:(?:final\s+|correct\s+)?(?:answer|result)|(?:correct|right|best)\s+(?:option|choice))\b"
    r"(?:[^\n.:$\\]{0,60}?\b(?:is|are|equals)\b\s*:?|\s*(?:\*\*)?\s*:|\s*(?=\\[(\[]))"
    r"|\bfinal answer\b(?:\*\*)?[ \t]*(?=\n)|(?:最终)?(?:答案|结果)(?:应该|应)?[是为]?\s*:?|故选|\bans\s*[:=])[ \t]*",
    re.IGNORECASE,
)
_MATH = re.compile(
    r"\$\$(?P<a>[^$]+)\$\$"
    r"|(?<![\\\d])\$(?P<b>(?! )(?:\\\$|[^$\n])+?(?<![ \\])|[ ](?:\\\$|[^$\n])+?[ ])\$(?!\d)"  # "$5 and $6" is money
    r"|\\\[(?P<c>.{1,2000}?)\\\]|\\\((?P<d>.{1,2000}?)\\\)",
    re.DOTALL,
)
_JOINED = re.compile(r"\s*,?\s*(?:and|or|和|或|,|;)\s*|[^\S\n]*")
_TRAILING = re.compile(
    r"\s*(?:\\?%|percent(?:age)?\b|pct\b)|\s+(?:[a-z]{2,12}|[\u4e00-\u9fff]{1,6})(?=[.,;!。]?\s*$)", re.IGNORECASE
)
_FORMULA_END = re.compile(r"(?<!\d)\.(?=\s*(?:\$|\\[)\]]))")
_CLOSING_TAG = re.compile(r"</\w+>")
_CONCLUSION = re.compile(r"\s(?=(?:Therefore|Thus|Hence|So), )")  # opens a sentence, also where the last has no stop
_HEADING = re.compile(r"\bfinal answer\s*:|\n", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![\^{_\d.,/:])\d[\d.,/:]*")
_BARE_NUMBER = re.compile(r"-?[\d.,/]+")
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|and|finally|we (?:get|have|find)|that|is)\b[\s,:]*)+", re.IGNORECASE
)
_OPENED = re.compile(r"^(?:so|thus|hence|therefore),?\s+(?=[-\w\\(]*\s*[=\d])", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|could not|unable to|impossible to)\s+(?:\w+\s+)?(?:determine|answer|solve|say|tell|decide|find)"
    r"|\b(?:do not|don't)\s+know\b|\bnot sure\b|不知道|无法(?:确定|判断|回答)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """The answer's own text, empty if there is none, and where it was found: `boxed`, `stated`, `segment` and so on.

    An answer that is not `plain` has words around it which may deny, doubt, bound or condition it: it is never correct.
    """

    text: str
    found: str
    plain: bool = True


def extract(reply: str) -> Extracted:
    """Return the final answer of an already normalised reply; the text is empty where the reply states none."""
    reply = _final_part(reply)
    marked = [found for found in (_boxed(reply), _hashes(reply), _stated(reply)) if found is not None]
    if marked:
        return max(marked, key=lambda found: found[0])[1]
    return _unmarked(reply)


def extract_reference(text: str) -> Extracted:
    """Return a reference's answer: as of a reply, but `cannot be determined` is itself an answer."""
    found = extract(text)
    whole = found.found == "nowhere" and not re.search(r"\d", text)
    return Extracted(text=text, found="whole") if whole else found


def collapse(text: str) -> str:
    """Return `text` with runs of white space as one space or one line end: patterns stay linear on it."""
    return re.sub(r" ?\n\s*", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()


def _final_part(reply: str) -> str:
    """The reply from its last thinking or answer tag on, and no more than `TAIL` of it."""
    reply = _THINKING.split(_THOUGHT.split(reply)[-1], maxsplit=1)[0]
    if len(reply) > TAIL:
        reply = reply[-TAIL:].partition(" ")[2]
    reply = collapse(reply)
    if "<answer>" in reply:
        reply = reply.rsplit("<answer>", 1)[-1].split("</answer>", 1)[0]
    return _UNBRACED.sub(r"\\boxed{\1}", reply.split("<|im_start|>", 1)[0].strip())


def boxes(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, content) of every outermost box whose braces balance, in order."""
    found: list[tuple[int, int, str]] = []
    position = 0
    while match := _BOX.search(text, position):
        end = _closing(text, match.end())
        if end is None:
            break
        found.append((match.start(), end + 1, text[match.end() : end]))
        position = end + 1
    return found


def _closing(text: str, start: int) -> int | None:
    depth = 1
    for match in re.compile(r"\\.|[{}]").finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return None


def _boxed(text: str) -> tuple[int, Extracted] | None:
    found = boxes(text)
    if not found:
        return None
    answer = found[-1][2]
    for (_, end, content), (start, _, _) in zip(found[-2::-1], found[:0:-1], strict=True):
        between = _BETWEEN_BOXES.fullmatch(text, end, start)
        if between is None:
            if _CONDITION.search(text[end:start]) and content.strip() != answer.strip():
                return start, Extracted(text="", found="boxed")
            break
        if content.strip() != answer.strip():
            answer = f"{content}{' or ' if _ALTERNATIVE.fullmatch(between.group(1) or '') else ', '}{answer}"
    before, tail = text[: found[-1][0]], text[found[-1][1] :]
    after = trailing(tail)
    rest = _sentence_rest(tail)
    if is_part(before if answer == found[-1][2] else "", "" if after else tail) or is_retracted(tail):
        return found[-1][1], Extracted(text="", found="boxed")
    answer += after
    return found[-1][1], Extracted(
        text=answer.strip(), found="boxed", plain=continues_plainly(_sentence_start(before), rest)
    )


def _sentence_rest(tail: str) -> str:
    """What follows a box in its own sentence, without the dollar sign that ends its formula."""
    line = _FORMULA_END.split(tail.split("\n", 1)[0], maxsplit=1)[0]
    rest = _CLOSING_TAG.sub(" ", SENTENCE_END.split(line, maxsplit=1)[0])
    return rest.replace("$", " ", 1) if rest.replace("$$", "$").count("$") % 2 else rest


def _hashes(text: str) -> tuple[int, Extracted] | None:
    matches = _HASHES.findall(text)
    if not matches:
        return None
    return text.rfind("####"), Extracted(text=matches[-1].strip(), found="hashes")


def _stated(text: str) -> tuple[int, Extracted] | None:
    last = None
    for last in _STATED.finditer(text):  # noqa: B007
        pass
    if last is None or _refused(text):
        return None
    if is_supposed(text[: last.start()][-60:]):
        return last.end(), Extracted(text="", found="stated")
    rest = text[last.end() :].lstrip("* \n:")
    rest = rest if rest.startswith((r"\[", "$$")) else rest.split("\n", 1)[0]
    if is_retracted(text[last.end() + len(SENTENCE_END.split(text[last.end() :], maxsplit=1)[0]) :]):
        return last.end(), Extracted(text="", found="stated")
    answer = _expression(rest)
    states_value = answer and (bool(re.search(r"[\d\\$]", answer)) or len(answer) <= 3)
    if not answer or "\\box" in rest or (not states_value and boxes(text)):
        return None
    before = _sentence_start(text[: last.start()]) + last.group()
    return last.end(), Extracted(text=answer, found="stated", plain=is_plain(*_around(before, rest)))


def _sentence_start(text: str) -> str:
    """The beginning of the sentence that is open at the end of `text`."""
    return _CONCLUSION.split(SENTENCE_END.split(_HEADING.split(text)[-1])[-1])[-1]


def _around(before: str, rest: str) -> tuple[str, str]:
    """What stands before and after the value at the head of `rest`; a clause that is no prose is a value as a whole."""
    clause = first_clause(main_clause(rest))
    start = rest.find(clause)
    if not is_prose(_MATH.sub(" ", clause)):
        return before, rest[start + len(clause) :]
    first, last = _value_span(clause)
    return before + rest[: start + first], rest[start + last :]


def _value_span(clause: str) -> tuple[int, int]:
    """Where the last formulas or the last number of a clause start and end; at its end where it has none."""
    if formulas := list(_MATH.finditer(clause)):
        first = len(formulas) - 1
        while first and _JOINED.fullmatch(clause[formulas[first - 1].end() : formulas[first].start()]):
            first -= 1
        if not re.search(r"\d", clause[formulas[-1].end() :]):
            return formulas[first].start(), formulas[-1].end()
    numbers = list(_DIGITS.finditer(clause))
    return numbers[-1].span() if numbers else (len(clause), len(clause))


def _expression(text: str) -> str:
    """The expression at the head of a statement: its only formula with the unit after it, or the first clause."""
    text = main_clause(text)
    formulas = list(_MATH.finditer(text))
    if formulas and (group := _group(text, formulas)):
        after = SENTENCE_END.split(text[formulas[-1].end() :], maxsplit=1)[0]
        if not re.search(r"\d", text[: formulas[0].start()] + after):
            return group
    clause = first_clause(text)
    return number_in(clause) if is_prose(clause) else clause


def _group(text: str, formulas: list[re.Match[str]]) -> str:
    """The last formula, with those that `and`, `or` or a comma joins to it, and a percent sign or unit behind it."""
    parts = [_inner(formulas[-1])]
    for before, after in zip(formulas[-2::-1], formulas[:0:-1], strict=True):
        joint = text[before.end() : after.start()]
        if not _JOINED.fullmatch(joint):
            break
        parts[:0] = [_inner(before), joint if joint.strip() else ", "]
    trailing = _TRAILING.match(text, formulas[-1].end())
    return "".join(parts).strip(" ,") + (trailing.group() if trailing else "")


def _inner(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None).strip()


def _refused(text: str) -> bool:
    tail = text[-300:]
    return bool(_REFUSAL.search(tail)) and not boxes(tail)


def _unmarked(text: str) -> Extracted:
    if not text or _refused(text):
        return Extracted(text="", found="nowhere")
    formulas = list(_MATH.finditer(text))
    whole = text if formulas and len(formulas[-1].group().splitlines()) > 1 else text.splitlines()[-1].strip()
    line = main_clause(whole)
    formulas = list(_MATH.finditer(line)) if line is not text else formulas
    if formulas:
        outside = _MATH.sub(" ", line).strip(" .,;")
        if (
            is_prose(outside)
            or not outside
            or _LEAD.fullmatch(outside)
            or (outside.isascii() and is_plain(outside, ""))
        ):
            return _plainly(whole, _value_span(line), Extracted(text=_group(line, formulas), found="segment"))
        return Extracted(text=line, found="whole")
    if (is_prose(line) and states_no_answer(line)) or _is_column(text):
        return Extracted(text="", found="nowhere")
    if is_prose(line):
        return _plainly(whole, _value_span(line), Extracted(text=number_in(line) or line, found="number"))
    return Extracted(text=_OPENED.sub("", line), found="whole")


def _plainly(line: str, span: tuple[int, int], found: Extracted) -> Extracted:
    """What was found in a line, plain if its sentence and all after it state it plainly.

    A bare value states nothing by itself: then the sentences before it have to be plain as well.
    """
    start, end = span
    if start == end or not has_framing(line[:start] + line[end:]):
        return found
    before = _sentence_start(line[:start])
    return replace(found, plain=is_plain(before if has_framing(before) else line[:start], line[end:]))


def _is_column(text: str) -> bool:
    """Whether a reply is several numbers, one a line, of which none is the answer."""
    lines = text.splitlines()
    return len(set(lines)) > 1 and all(_BARE_NUMBER.fullmatch(line) for line in lines)
