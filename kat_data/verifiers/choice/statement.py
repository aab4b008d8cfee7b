"""Statements: the places where a reply says which option it chooses, in order.

A statement is a box, a sentence such as `the answer is (B)` or `B is correct`, or a first or last line that is an
option's label or text. One that names several options is kept as what it is: a hedge.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kat_data.verifiers.choice.assertion import is_asserted
from kat_data.verifiers.choice.label import CLOSED_LABEL, LABEL, REASON, end_of, is_label, letter_of
from kat_data.verifiers.choice.option import Options

BOX_OPEN, BOX_CLOSE = "\x02", "\x03"

_MOST = 200  # of each kind, from the end: a reply of nothing but statements is no answer
_LINE = 400
_CUTS = 40

_BOX = re.compile(f"{BOX_OPEN}([^{BOX_OPEN}{BOX_CLOSE}]*){BOX_CLOSE}")
_SUBJECT = r"(?:answer|option|choice|response|selection|solution)(?:\s+(?:choice|option|letter))?"
_IS = r"(?:is|was|will\s+be|would\s+be|must\s+be|should\s+be|has\s+to\s+be|ought\s+to\s+be)"
_SURELY = r"(?:(?:clearly|therefore|thus|definitely|indeed|also|then|probably|likely|most\s+likely)\s+)*"
_LEAD = re.compile(
    # the answer to this question is …
    rf"\b{_SUBJECT}(?:\s+(?:to|for)\s+(?:this|the)\s+\w+)?(?:\s+(?:here|then|therefore|thus))?[\"']?\s*"
    rf"(?:{_IS}\b\s*:?|[=:→]|->|\s-)\s*"
    # answer B
    r"|\banswer\s+(?=[(\[]?[A-Z]\b(?!\s+(?:is|was|has|can|does|seems)\b))"
    r"|\b(?:choose|pick|select|go(?:ing)?\s+with|opt\s+for|settle\s+on)\s+"
    # it is not A. It is …
    r"|\bnot\s+[(\[]?[A-Z][)\]]?\s*[.;,]\s*(?:it|that)(?:'s|\s+is)\s+"
    # no, wait, it is …
    r"|(?:\bactually|\bbut\s+really|\bcorrection|\bno,?\s+wait|\bwait|\bon\s+second\s+thoughts?|\bI\s+mean|\bmake\s+that|更正|不对|改选)"
    r"[,:;.!\s-]*(?:no[,.]?\s+)?(?:(?:it(?:'s|\s+is)|that\s+is|it\s+(?:must|should)\s+be|应该?是?|是)\s*)?"
    r"|(?:正确|最终|最后|最佳|标准)?的?(?:答案|选择)\s*(?:应该|应当|应|就|只能|显然)?\s*(?:是|为|选|:)?\s*:?\s*"
    r"|(?:正确|最佳)?的?选项\s*(?:应该|应当|应|就)?\s*(?:是|为|:)\s*"
    r"|(?:选择|选)(?!项)\s*"
    r"|\b(?:respuesta|réponse|antwort|risposta|resposta|ответ)(?:\s+(?:correcta|correcte|finale?|es|est|ist|è))*\s*:?\s*",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:\s|(?:either|both|between|options?|choices?|letters?|answer|clearly|definitely|certainly|probably|likely|most"
    r"|simply|just|therefore|thus|indeed|actually|then|obviously|labell?ed|number|选项?)\b:?"
    r"|not\s+[(\[]?[A-Z][)\]]?,?\s+but(?:\s+rather)?\b|[:\"'>]|-(?=[\s>]))*",
    re.IGNORECASE,
)
_RIGHT = r"(?:correct|right|true|best|accurate|appropriate|answer)\b"
_PREDICATE = re.compile(
    rf"\s*(?:\([^()\n]{{0,80}}\))?\s*(?:{_IS}\s+{_SURELY}(?:the\s+)?(?:only\s+|most\s+|single\s+|one\s+)*{_RIGHT}"
    r"|(?:选项|项)?(?:是|为)?(?:唯一)?(?:正确|对)的?)",
    re.IGNORECASE,
)
_TEXT_PREDICATE = re.compile(
    rf"(?P<text>[^.!?\n,;:。，]{{1,120}}?)\s+is\s+{_SURELY}the\s+(?:only\s+)?(?:correct|right|best)\s+"
    r"(?:answer|option|choice)\b",
    re.IGNORECASE,
)
_ONLY_IT = re.compile(
    r"(?:(?:so|thus|hence|therefore|clearly|probably|i\s+(?:think|believe)|i'd\s+say)[\s,]+)*"
    r"(?:it|this|that)(?:'s|\s+(?:is|must\s+be|should\s+be|has\s+to\s+be))\s+",
    re.IGNORECASE,
)
_CUT = re.compile(
    rf"[.!?](?=\s|$)|[。！？;,，；:(\x03]|\s(?:{REASON}|and|or|but|not|rather|is)\b|\s-\s|因为|所以", re.IGNORECASE
)
_LINK = re.compile(
    r"[\s,;./&|+、]*(?P<word>\b(?:and/or|or|and|also|maybe|possibly|perhaps|alternatively|else|even)\b|[&/或和与及]|或者|以及)?"
    r"[\s,]*(?:(?:maybe|possibly|perhaps|even|also|else|option|choice|选项)\s+)*",
    re.IGNORECASE,
)
_LINKED = re.compile(
    r"\s*(?:$|[,.;/)&|、。\x03]|(?-i:[A-Z](?![A-Za-z]))|(?:or|and|both|all)\b|[或和与都])", re.IGNORECASE
)
_RUN = re.compile(r"[A-Z]{2,26}(?![A-Za-z0-9'_-])")
_GIVES_REASON = re.compile(rf"(?:,?\s*(?:{REASON})\b|[,;-])", re.IGNORECASE)
_MORE_SENTENCES = re.compile(r"[.!?](?=\s|$)|[。！？\n]")
_INLINE_LIST = re.compile(r"[(\[]?A[.):\]]\s.*?[.;]\s+[(\[]?B[.):\]]\s*(?=[A-Z0-9]\w)")
_LEFT_OVER = " .,;:!)]}。，\x03\"'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The letters that `text[start:end]` chooses."""

    start: int
    end: int
    letters: frozenset[str]


def statements(text: str, options: Options) -> list[Statement]:
    """Return every statement of a cleaned reply, in order; boxes are marked by `BOX_OPEN` and `BOX_CLOSE`."""
    found = [*_boxes(text, options), *_led(text, options), *_predicates(text, options), *_lines(text, options)]
    if not found:
        found = list(_only_sentence(text, options))
    return sorted(found, key=lambda statement: (statement.end, statement.start))


def _boxes(text: str, options: Options) -> Iterator[Statement]:
    for match in list(_BOX.finditer(text))[-_MOST:]:
        if letters := _whole(match.group(1), options):
            yield Statement(start=match.start(), end=match.end(), letters=letters)


def _led(text: str, options: Options) -> Iterator[Statement]:
    for match in list(_LEAD.finditer(text))[-_MOST:]:
        read = _read(text, match.end(), options)
        if read is not None and is_asserted(text, match.start(), read[1]):
            yield Statement(start=match.start(), end=read[1], letters=read[0])


def _predicates(text: str, options: Options) -> Iterator[Statement]:
    for label in list(LABEL.finditer(text))[-_MOST:]:
        match = _PREDICATE.match(text, end_of(label)) if letter_of(label).isupper() else None
        if match and is_asserted(text, label.start(), match.end()):
            yield Statement(start=label.start(), end=match.end(), letters=frozenset(letter_of(label)))
    for match in list(_TEXT_PREDICATE.finditer(text))[-_MOST:]:
        own = options.by_text(match["text"])
        if own and is_asserted(text, match.start("text"), match.end()):
            yield Statement(start=match.start("text"), end=match.end(), letters=frozenset(own))


def _lines(text: str, options: Options) -> Iterator[Statement]:
    """The first line where it opens with a label, and the last one where it is a choice and nothing else."""
    if letters := _whole(text, options):
        yield Statement(start=0, end=len(text), letters=letters)
        return
    lines = [match for match in re.finditer(r"[^\n]+", text) if match.group().strip()]
    labels = [_line_letter(line.group()) for line in lines]
    lists_options = labels[:1] == ["A"] and len({*labels} - {None}) > 1
    lists_options = lists_options or bool(_INLINE_LIST.match(text) and next(_led(text, options), None))
    if lines and not lists_options and (opening := _opening(lines[0].group(), options)):
        yield Statement(start=lines[0].start(), end=lines[0].start() + opening[1], letters=opening[0])
    ends_list = len(lines) > 1 and labels[-1] is not None and labels[-2] not in (None, labels[-1])
    if len(lines) > 1 and not ends_list and (letters := _whole(lines[-1].group(), options)):
        above = _bare_label(lines[-2].group())
        yield Statement(start=lines[-1].start(), end=lines[-1].end(), letters=letters | above)


def _only_sentence(text: str, options: Options) -> Iterator[Statement]:
    """`It must be Venus, because …`, where the reply has no other sentence."""
    match = _ONLY_IT.match(text)
    if match and not _MORE_SENTENCES.search(text.rstrip(" .!。")):
        own = _text_choice(text, match.end(), options)
        if own and is_asserted(text, match.end(), match.end()):
            yield Statement(start=0, end=own[1], letters=frozenset(own[0]))


def _whole(text: str, options: Options) -> frozenset[str]:
    """The letters of a text that is nothing but a choice: labels, an option's text, or both."""
    text = text.strip()
    own = options.by_text(text)
    if label := LABEL.fullmatch(text.rstrip(" .。!")) or CLOSED_LABEL.fullmatch(text):
        letter = letter_of(label).upper()
        other = own not in (None, letter) and options.has_text(letter_of(label))
        return frozenset() if other else frozenset(letter)
    if own:
        return frozenset(own)
    read = _read(text, 0, options)
    return read[0] if read and not text[read[1] :].strip(_LEFT_OVER) else frozenset()


def _opening(line: str, options: Options) -> tuple[frozenset[str], int] | None:
    """The choice with which a line opens: a label, then nothing, a reason, its text, or a new sentence."""
    start = len(line) - len(line.lstrip())
    label = LABEL.match(line, start)
    if label is None:
        return None
    rest = line[label.end() :].strip()
    new_sentence = label["bare"] is None and not (rest[:1].isascii() and rest[:1].islower())
    if not rest or new_sentence or _GIVES_REASON.match(rest) or _text_choice(rest, 0, options):
        return _read(line, start, options)
    return None


def _bare_label(line: str) -> frozenset[str]:
    """The letter of a line that is a label alone: lines of labels, one under the other, are one hedge."""
    label = LABEL.fullmatch(line.strip())
    return frozenset(letter_of(label).upper()) if label else frozenset()


def _line_letter(line: str) -> str | None:
    label = CLOSED_LABEL.match(line.strip())
    return letter_of(label).upper() if label else None


def _read(text: str, start: int, options: Options) -> tuple[frozenset[str], int] | None:
    """Read a choice at `start`: labels, each with or without its text, or an option's text; with where it ends."""
    end = text.find("\n", start)
    line = text[start : len(text) if end < 0 else end][:_LINE]
    skipped = _FILLER.match(line)
    offset = skipped.end() if skipped else 0
    own = _text_choice(line, 0, options) or _text_choice(line, offset, options)
    run = _RUN.match(line, offset)
    if run and own is None and len({*run.group()}) == len(run.group()) and {*run.group()} <= {*options.letters}:
        return frozenset(run.group()), start + run.end()
    read = _labels(line, offset, own, options)
    return (read[0], start + read[1]) if read else None


def _labels(line: str, offset: int, own: tuple[str, int] | None, options: Options) -> tuple[frozenset[str], int] | None:
    label = LABEL.match(line, offset)
    if label is None or not (is_label(label, line) or _has_own_text(label, line, options)):
        return _linked(frozenset(own[0]), own[1], line, options) if own else None
    letter = letter_of(label).upper()
    if own and own[0] != letter and not (label["bracketed"] or _has_own_text(label, line, options)):
        if own[1] > label.end():  # an option whose text begins like a label, such as `E. coli`
            return frozenset(own[0]), own[1]
        if options.has_text(letter_of(label)):
            return None
    return _linked(*_with_text(letter, label.end(), line, options), line, options)


def _has_own_text(label: re.Match[str], line: str, options: Options) -> bool:
    own = _text_choice(line, label.end(), options)
    return own is not None and own[0] == letter_of(label).upper()


def _with_text(letter: str, position: int, line: str, options: Options) -> tuple[frozenset[str], int]:
    """Add the option whose text follows the label: its own, or another one's, which is a conflict."""
    own = None
    for signs in (" :.,)", " :.,)(\"'-"):  # a minus sign or a bracket may be the text's own
        gap = len(line) - len(line[position:].lstrip(signs))
        own = own or _text_choice(line, gap, options)
    return (frozenset({letter, own[0]}), own[1]) if own else (frozenset(letter), position)


def _linked(letters: frozenset[str], position: int, line: str, options: Options) -> tuple[frozenset[str], int]:
    """Add the choices that `or`, a comma and the like put beside those before `position`."""
    while (link := _LINK.match(line, position)) and link.end() > position:
        label, own = LABEL.match(line, link.end()), _text_choice(line, link.end(), options)
        if label and letter_of(label).isupper() and (link["word"] or _LINKED.match(line, label.end())):
            more, position = _with_text(letter_of(label), label.end(), line, options)
        elif own and link["word"]:
            more, position = frozenset(own[0]), own[1]
        else:
            break
        letters |= more
    return letters, position


def _text_choice(line: str, start: int, options: Options) -> tuple[str, int] | None:
    """The option whose text stands at `start` up to a clause's end, the longest first; with where the text ends."""
    if not options.known:
        return None
    cuts = [len(line), *sorted({match.start() for match in _CUT.finditer(line, start)}, reverse=True)[-_CUTS:]]
    return next(((letter, cut) for cut in cuts if (letter := options.by_text(line[start:cut]))), None)
