"""Framing: whether a choice is said plainly, with nothing around it but words that cannot change what is said.

The words are a closed list (`framing.yaml`). The sentences before the choice are free, since replies reason; so is
what comes before `so`, `but` and the like in its own sentence. A short reason may follow it, and that others are wrong.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from kat_data.verifiers.choice.label import LABEL, letter_of
from kat_data.verifiers.choice.option import Options
from kat_data.verifiers.choice.statement import BOX_CLOSE, BOX_OPEN, Statement

_OWN = "\x04"  # stands for each character of the chosen option's own label and text
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]|(?<![:,;：，；])\n")
_PART = re.compile(r"[.!](?=\s|$)|[。！\n]")
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\S", re.UNICODE)
_HAN = re.compile(r"[\u3400-\u9fff]+")
_NEUTRAL_SIGNS = frozenset(".,:;!()[]{}\"'=→>。，：；！、（）【】「」✓✔✅#/" + BOX_OPEN + BOX_CLOSE)
_DASH = re.compile(rf"(?<=[\w{_OWN})\]]) - (?=[\w{_OWN}(])|->")
_NO = re.compile(r"^\W*no\s*(?:[,.;]|(?=wait\b))", re.IGNORECASE)  # `No, wait: …`; elsewhere it denies
_DENIAL = re.compile(r"\b(?:not|rather|instead|wrong|incorrect|false)\b|[不非错]", re.IGNORECASE)
_OTHERS_WRONG = (
    r"(?:however,?\s*)?(?:all\s+)?(?:of\s+)?(?:the\s+)?(?:others?|rest|remaining)(?:\s+(?:options?|choices?|ones))?"
    r"\s+(?:is|are)(?:\s+all)?\s+(?:wrong|incorrect|false|not\s+correct)"
    r"|其他选项?[都均]?(?:不正确|不对|错误?)"
)


def is_plain(text: str, statement: Statement, options: Options) -> bool:
    """Whether nothing but neutral words frames a statement in a cleaned reply, in its sentence and after it."""
    marked = _marked(text, statement, options)
    found = re.search(_OWN, marked[statement.start : statement.end])
    first = statement.start + found.start() if found else statement.end
    last = max(statement.end, statement.start + marked[statement.start : statement.end].rfind(_OWN) + 1)
    sentence = _sentence_start(marked, statement.start)
    others = _others(statement, options)
    before = _claim(marked[sentence:first])
    if before is None or _leads_on(marked[:sentence]) or not _is_neutral(_without(before + _OWN, others), "before"):
        return False
    within = marked[first : statement.end]
    return _is_neutral(_without(within, others), "before", "after") and all(
        _follows(part, others) for part in _PART.split(marked[last:])
    )


def _marked(text: str, statement: Statement, options: Options) -> str:
    """Put `_OWN` in the place of the chosen options' labels and texts; offsets stay."""
    for letter in statement.letters:
        for own in options.texts_of(letter):
            pattern = rf"(?<![\w-]){re.escape(own)}(?!\w)"
            text = re.sub(pattern, lambda match: _OWN * len(match.group()), text, flags=re.IGNORECASE)
    place = options.by_text(text[statement.start : statement.end])
    if place in statement.letters:
        text = text[: statement.start] + _OWN * (statement.end - statement.start) + text[statement.end :]
    marks = [match for match in LABEL.finditer(text, statement.start) if letter_of(match).upper() in statement.letters]
    for mark in marks:
        own_case = mark.start() < statement.end or letter_of(mark).isupper()
        if own_case and not _signed(text, mark.start()):
            text = text[: mark.start()] + _OWN * len(mark.group()) + text[mark.end() :]
    return text


def _signed(text: str, position: int) -> bool:
    return text[max(0, position - 1) : position] in ("-", "+", "~", "¬", "≠")


def _sentence_start(text: str, position: int) -> int:
    return max((match.end() for match in _SENTENCE_END.finditer(text, 0, position)), default=0)


def _leads_on(text: str) -> bool:
    """Whether the line before the choice's own is left open, and denies or supposes: `If n is odd`, `not`."""
    line = text.rstrip().rpartition("\n")[2]
    is_open = bool(line) and not line.endswith((".", "!", "?", "。", "！", "？"))
    return is_open and bool(
        _data()["suppose"].search(line) or re.search(r"\b(?:not|never|no|for)\b|[不非]$", line, re.IGNORECASE)
    )


def _claim(before: str) -> str | None:
    """What of a sentence makes the claim: all, or what follows its conclusion; none where that is under a condition."""
    turns = [match.end() for match in re.finditer(_data()["turn"], before, re.IGNORECASE)]
    before = _NO.sub("", before[turns[-1] :] if turns else before)
    conclusions = [match.end() for match in re.finditer(_data()["conclude"], before, re.IGNORECASE)]
    if not conclusions:
        return before
    supposed = _data()["suppose"].search(before[: conclusions[-1]])
    return None if supposed else before[conclusions[-1] :]


def _others(statement: Statement, options: Options) -> str:
    """A pattern for another option: its label, its text, or both."""
    letters = [letter for letter in options.letters if letter not in statement.letters]
    label = rf"[(\[]?(?<![A-Za-z])[{''.join(letters)}](?![A-Za-z0-9'])[)\]]?" if letters else r"(?!)"
    texts = [re.escape(own) for letter in letters for own in options.texts_of(letter) if own]
    text = rf"(?:{'|'.join(sorted(texts, key=len, reverse=True))})(?!\w)" if texts else r"(?!)"
    one = rf"(?:(?:options?|choices?|选项)\s+)?(?:{label}(?:[.:]?\s+{text})?|{text})"
    return rf"{one}(?:(?:\s*,\s*|\s+)(?:and\s+|or\s+|nor\s+)?{one}){{0,8}}"


def _without(text: str, others: str) -> str:
    """Take out what denies another option: it says nothing against this one."""
    if not _DENIAL.search(text):
        return text
    denied = rf"\b(?:not|rather\s+than|instead\s+of)\s+{others}(?:\s*,?\s*but\b)?|(?:而?不是|不选|而非){others}"
    wrong = rf"{others}\s*(?:选项|项)?\s*(?:\b(?:is|are)\s+(?:wrong|incorrect|false)\b|是?错误?的?|不正确|不对)"
    return re.sub(f"{denied}|{wrong}", " ", text, flags=re.IGNORECASE)


def _follows(part: str, others: str) -> bool:
    """Whether a sentence after the choice, or the rest of its own, leaves the choice as it is."""
    part = part.strip(" ,;:.)]}'\"，；：、" + _OWN + BOX_CLOSE)
    data = _data()
    bare = part.casefold()
    if not bare or bare in data["phrases"] or re.fullmatch(_OTHERS_WRONG, bare):
        return True
    reason = re.match(rf"[(\s]*(?:{data['reason']})(?![A-Za-z])(?P<why>[^,;:()，；：]*)$", part, re.IGNORECASE)
    if reason:
        return _leaves(reason["why"], others)
    pattern = rf"(?:however,?\s*)?(?:{others})\s+(?:is|are)\s+too\s+(?P<why>[^,;:]+)"
    too = re.fullmatch(pattern, part, re.IGNORECASE) if " too " in bare else None
    return _leaves(too["why"], others) if too else _is_neutral(_without(part, others), "after")


def _leaves(reason: str, others: str) -> bool:
    """Whether a reason names nothing that unsettles the choice, and other options only as wrong."""
    rest = _without(reason, others)
    named = re.search(r"(?<![\w'])[B-Z](?![\w'])", rest)
    return not named and not _data()["unsettle"].search(rest)


def _is_neutral(text: str, *lists: str) -> bool:
    text = _DASH.sub(" ", text)
    known = frozenset[str]().union(*(_data()[name] for name in lists))
    return all(_known(token, known) for token in _tokens(text))


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text.replace(_OWN, " ")):
        yield match.group().casefold()


def _known(token: str, known: frozenset[str]) -> bool:
    return token in _NEUTRAL_SIGNS or token in known or (bool(_HAN.fullmatch(token)) and _made_of(token, known))


def _made_of(text: str, known: frozenset[str]) -> bool:
    """Whether a run of Chinese characters is a row of known words."""
    ends = {0}
    for end in range(1, len(text) + 1):
        if any(text[start:end] in known for start in range(max(0, end - 6), end) if start in ends):
            ends.add(end)
    return len(text) in ends


@cache
def _data() -> dict[str, Any]:
    raw = yaml.safe_load(files("kat_data.verifiers.choice").joinpath("framing.yaml").read_text(encoding="utf-8"))
    words = {name: frozenset(" ".join(raw[name].values()).split()) for name in ("before", "after")}
    patterns = {name: re.compile(raw[name].replace(" |", "|"), re.IGNORECASE) for name in ("suppose", "unsettle")}
    rest = {name: raw[name] for name in ("conclude", "turn", "reason")}
    return words | patterns | rest | {"phrases": frozenset(raw["phrases"])}
