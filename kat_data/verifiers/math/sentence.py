"""A sentence of prose around an answer: which number it states, and whether it states one at all."""

import re

SENTENCE_END = re.compile(r"(?<!\d)\.(?=\s|$)|\.(?=\s+[A-Z])|\.$|。|!(?=\s)|<\|")
_REASONS = re.compile(
    r",?\s+(?:because|since|as required|so that|which)\b|,\s+(?:and\s+)?not\s+(?=[\d$\\(]|[A-J]\b)|,?(?:因为|所以)"
    r"|\s\((?:at|when|where|for|if|since|because|as|assuming)\b[^()]*\)\s*\.?$",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"(?:(?<=[\d$)}])\s*,?\s+|,\s+(?=attained|achieved|reached|occurring))(?:which is\s+)?"
    r"(?:(?:attained|achieved|reached|occurring)\s+)?(?:at|when|where)\s+(?:\$|\\\()?\s*[a-z]\s*=[^,;=]{1,40}$",
    re.IGNORECASE,
)
_BECAUSE = re.compile(r"(?<=[\w$)}%]),?\s+(?:because|since|as required)\b[^.]*\.?$", re.IGNORECASE)
_UNTOLD = re.compile(
    r"\b(?:suppose|say|doubt(?:ful)?|false|not true|untrue|unlikely|not (?:sure|clear|believe|think)|whether|if)"
    r"\s+(?:that\s+|whether\s+)?(?:the\s+|my\s+)?$",
    re.IGNORECASE,
)
_UPRIGHT = re.compile(r"\\text\s*\{([^{}]*)\}")
_NUMBER = r"[-+]?[$€£¥]?-?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:/\d+|(?::\d+)+)?(?:\s?\\?%|\s?percent\b)?"
_LAST_NUMBER = re.compile(rf"(?<![A-Za-z\d_.^{{}}])({_NUMBER})(?![\d])")
_DENIED = re.compile(
    r"(?:\b(?:not|never|cannot|can't|isn't)\b|n't\b|不是|并非|不等于|\\neq?\b|!=)(?:[^\d]*|.*\b(?:or|and|nor)\b.*)$",
    re.IGNORECASE,
)
_RELATED = re.compile(
    r"\b(?:(?:half|thirds?|quarter|twice|double|triple|square|cube|root|multiples?|factors?|factorial|reciprocal|inverse"
    r"|opposite|negative|minus|power|logarithm|percent)\s+(?:of\s+)?|(?:more|less|fewer|greater|larger|smaller|other"
    r"|rather|higher|lower)\s+than\s+|(?:divisible by|divides|anything but|nothing but|except"
    r"|(?:wrong|incorrect) answer(?: is|:)?)\s+"
    r"|(?:equation|eq|theorem|lemma|step|case|problem|question|figure|table|section|chapter|page|example|exercise"
    r"|proposition|corollary|method|definition|property|rule|formula)s?\.?\s*[(#]?\s*)$",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"\d\s*(?:[,;]|(?:and|or|to)\s|[和或与及])\s*(?:(?:and|or)\s+)?$|\b([a-z]+)\s+\$?\d(?![^.]*\bthen\b)[^.]*\band\b[^.]*\b\1\s+$"
    r"|\b(?:is|are|was|were)\s+[$\d](?![^.]*\bthen\b)[^.]*\band\b[^.]*"
    r"\b(?:is|are|was|were)\s+$|\b(solution|method|case|approach)\s+(?:1|one|a|i)\b.*\b\2\s+(?:2|two|b|ii)\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"(?:(?:let|suppose|assume|consider|try|take)|if(?!.*\bthen\b))\b[^.]*$|(?:I|we) (?:tried|failed)\b", re.IGNORECASE
)
_DENIED_AFTER = re.compile(
    r"\s*(?:is|are|was|would be)\s+(?:\w+ly\s+)?(?:not|wrong|incorrect|false)\b|\s*isn't\b"
    r"|\s*(?:不对|不是|是错)|.*\bfailed\b|\s*or so\b|.*\bis (?:wrong|incorrect|false)\b",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"\s*(?:at (?:least|most)|(?:more|less|fewer|greater|larger|smaller) than|up to|between|about|around|roughly|any"
    r"|either)\b",
    re.IGNORECASE,
)
_PROSE = re.compile(r"[A-Za-z]{2,}")
_SENTENCE = re.compile(
    r"(?!(?:sin|cos|tan|log|ln|sqrt|exp|arc|max|min|not|no)\b)[A-Za-z]{2,} .*\d", re.IGNORECASE | re.DOTALL
)
_CONNECTIVES = re.compile(r"\\(?:begin|end)\s*\{\w+\}(?:\s*\{[lcr|]+\})?|\b(?:and|or)\b|\\[A-Za-z]+|\\text\{[^}]*\}")
_OPENING = r"[\s$.,;!?*\\)\]}]*"
_RETRACTED = re.compile(
    rf"{_OPENING}(?:(?:but|oh|um)[,\s]+)?(?:no\b\s*(?:[,.!]|$)|(?:hmm+|wait|oops|sorry|hold on|scratch that)\b"
    r"|correction\b|but\s+(?:it|that|this|actually|in fact|the (?:correct|right|true|real|actual|answer))\b"
    r"|actually,?\s+(?:no\b|this|that|it|the answer)|(?:this|that|it|which)(?:\s+is|\s+was|'s)\s+(?:\w+ly\s+)?"
    r"(?:wrong|incorrect|not (?:right|correct)|a mistake|an error)\b)"
    rf"|{_OPENING}(?<=[.;!?\s])or\s+(?:(?:perhaps|maybe|possibly|rather)\s+)?[$\\(]*-?\d",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"__|(?<!\\)\b(?:import|lambda)\b(?=[\s:(])|\b(?:exec|eval|globals|locals|getattr|subprocess|open|print)\s*\("
    r"|\b(?:os|sys)\.\w"
    r"|</?(?:script|img|svg|iframe|html)\b|\\(?:input|include|write|def)\b"
)


def is_code(text: str) -> bool:
    """Whether `text` looks like a program, markup or a TeX command that reads files, rather than mathematics."""
    return bool(_CODE.search(text))


def is_retracted(after: str) -> bool:
    """Whether the text after an answer takes it back: `No, that is wrong`, `Wait, ...`, `Or 8`."""
    return bool(_RETRACTED.match(after))


def first_clause(text: str) -> str:
    """The first sentence of `text` without its reasons."""
    return _REASONS.split(SENTENCE_END.split(text, maxsplit=1)[0], maxsplit=1)[0].strip(" *")


def main_clause(sentence: str) -> str:
    """A sentence without its reason and the place of its value: `the least is -4` of `the least is -4, when x = 2`."""
    sentence = _WHERE.sub("", sentence)
    reason = _BECAUSE.search(sentence)
    if reason and re.search(r"\d", SENTENCE_END.split(sentence[: reason.start()])[-1]):
        return sentence[: reason.start()]
    return sentence


def is_supposed(before: str) -> bool:
    """Whether what leads up to a statement makes it a supposition or denies it: `suppose the (answer is 3)`."""
    return bool(_UNTOLD.search(before))


def is_prose(text: str) -> bool:
    """Whether `text` is words rather than mathematics."""
    words = len(_PROSE.findall(_CONNECTIVES.sub(" ", text)))
    return (
        words >= 3
        or (words >= 2 and _SENTENCE.match(text) is not None)
        or bool(re.search(r"(?:[\u4e00-\u9fff][^\u4e00-\u9fff]*){4}", text))
    )


def states_no_answer(line: str) -> bool:
    """Whether the last number of a sentence is one of several, a supposition, or the count of a failure."""
    line = _UPRIGHT.sub(r"\1", line)
    numbers = [match for match in _LAST_NUMBER.finditer(line) if re.search(r"\d", match.group())]
    if not numbers or _BOUND.match(line):
        return False
    start = numbers[-1].start()
    before, after = line[max(0, start - 200) : start], line[numbers[-1].end() :]
    clause = SENTENCE_END.split(before)[-1].lstrip()
    if re.search(r"\(\s*[-\d.,\s]*$", before) and ")" in after:
        return False
    return bool(_SEVERAL.search(before) or _SUPPOSED.match(clause) or _DENIED_AFTER.match(after[:80]))


def number_in(text: str) -> str:
    """The last number of a sentence, or the sentence itself where it has none or denies the number."""
    text = _UPRIGHT.sub(r"\1", text)
    matches = [m for m in _LAST_NUMBER.finditer(text) if re.search(r"\d", m.group())]
    if not matches or is_code(text):
        return text
    last = matches[-1]
    before, after = text[max(0, last.start() - 80) : last.start()], text[last.end() : last.end() + 80]
    if _BOUND.match(text) or _DENIED.search(before[-25:]) or _RELATED.search(before) or _DENIED_AFTER.match(after):
        return text
    pair = re.search(r"\([^()]*\d[^()]*,[^()]*\)\s*\.?$", text)
    unit = re.match(r"\s*(?:[A-Za-z]{2,12}|[\u4e00-\u9fff]{1,6})(?=[.。]?$)", text[last.end() :])
    return pair.group().rstrip(".") if pair else last.group() + (unit.group() if unit else "")
