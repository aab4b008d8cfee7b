"""Multiple choice: the option on which a reply settles, against the reference.

A reply counts by its last statement. One that contradicts it without a word of correction, offers several options, or
pairs a letter with another option's text is wrong, since guessing twice must not pay; one that states no choice, or
states it amid words of which nobody can tell what they do to it, is unparsable.
"""

import re
from collections.abc import Sequence

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.verifiers.choice.framing import is_plain
from kat_data.verifiers.choice.option import Options, plain
from kat_data.verifiers.choice.statement import BOX_CLOSE, BOX_OPEN, Statement, statements

NAME = "choice/3"
TAIL = 20_000
"""Only so many characters at a reply's end are read."""

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACE = re.compile(r"\\.|[{}]")
_QUOTE = re.compile(r"^[ \t]*(?:#{1,6}|>)+[ \t]*", re.MULTILINE)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_LETTERS = re.compile(r"[(\[]?([A-Z])[)\]]?(?:\s*(?:,|/|;|&|and|和|、)?\s*[(\[]?([A-Z])[)\]]?)*", re.IGNORECASE)
_CORRECTED = re.compile(
    r"\b(?:wait|actually|correction|sorry|mistake|mistaken|instead|however"
    r"|reconsider\w*|re-?check\w*|let me|on second thoughts?|hmm+|oops|wrong|incorrect|no)\b"
    r"|不对|更正|重新|错了|但是|然而|再(?:看|想|检查)",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|alternatively|equally|also|either|both|another|as well)\b"
    r"|\b(?:could|might|may)\s+(?:also\s+)?be\b|或者?|也许|可能|也(?:对|可以|正确|行)",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:not|never|neither|nor|cannot|wrong|incorrect|false|excluded|eliminated|unlikely)\b|n't\b|不|错|排除",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|[。！？\n]")
_FAR = 200


class ChoiceVerifier:
    """Decides whether a reply chooses the reference's option and no other."""

    name = NAME

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Compare letters; the reference may be a letter or an option's text, found in the verifier's `choices`."""
        choices = query.verifier.options.get("choices", []) if query.verifier else []
        return decide_choice(candidate.answer, query.reference or "", [str(choice) for choice in choices])


def decide_choice(answer: str, reference: str, choices: Sequence[str] = ()) -> Verdict:
    """Return the verdict on `answer`; several letters in `reference` are one choice of several options."""
    options = Options(choices)
    wanted = _wanted(reference, options)
    if not wanted:
        return _verdict(Status.NOT_VERIFIED, wanted, frozenset(), "the reference is no option")
    chosen, plainly = _choice(answer, options)
    if not chosen:
        return _verdict(Status.UNPARSABLE, wanted, chosen, "no choice is stated")
    if not plainly and (len(chosen) == 1 or chosen == wanted):
        return _verdict(Status.UNPARSABLE, wanted, chosen, "a choice is named, but not plainly")
    if chosen != wanted:
        note = "several options" if len(chosen) > 1 else ""
        return _verdict(Status.INCORRECT, wanted, chosen, note)
    return _verdict(Status.CORRECT, wanted, chosen)


def chosen_letters(reply: str, choices: Sequence[str]) -> frozenset[str]:
    """Return the letters on which a reply settles: one if it is clear, several if it hedges, none if it names none.

    A letter may be none of the question's own.
    """
    chosen, plainly = _choice(reply, Options(choices))
    return chosen if plainly or len(chosen) > 1 else frozenset()


def _choice(reply: str, options: Options) -> tuple[frozenset[str], bool]:
    """The letters that a reply names as its choice, and whether nothing around them can change what is said."""
    settled = [_settled(_cleaned(part), options) for part in _final_parts(reply)]
    return frozenset().union(*(letters for letters, _ in settled)), all(plainly for _, plainly in settled)


def _wanted(reference: str, options: Options) -> frozenset[str]:
    text = plain(reference).strip().rstrip(".")
    if _LETTERS.fullmatch(text):
        letters = frozenset(re.findall(r"[A-Z]", re.sub(r"(?i)\band\b", " ", text).upper()))
        if letters <= set(options.letters):
            return letters
    own = options.by_text(text)
    if own is None and (labelled := re.match(r"[(\[]?([A-Z])[)\].:]+\s*(.*)", text, re.DOTALL)):
        letter: str = labelled[1]
        agrees = letter in options.letters and options.by_text(labelled[2]) in (letter, None)
        own = letter if agrees else None
    return frozenset(own or ())


def _final_parts(reply: str) -> list[str]:
    """What counts of a reply: its `<answer>` parts, else what follows the thinking; unfinished thinking is nothing."""
    reply = reply.rsplit("</think>", 1)[-1].partition("<think>")[0]
    return [part[-TAIL:] for part in _ANSWER.findall(reply)] or [reply[-TAIL:]]


def _cleaned(reply: str) -> str:
    text = plain(_boxes_marked(reply.replace(BOX_OPEN, "").replace(BOX_CLOSE, "")))
    text = _QUOTE.sub("", text.replace("\uf8f0", BOX_OPEN).replace("\uf8f1", BOX_CLOSE))
    return re.sub(r" ?\n\s*", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()


def _boxes_marked(text: str) -> str:
    """Put private-use marks around what stands in `\\boxed{}`: they outlive the cleaning, and nobody types them."""
    text = text.replace("\uf8f0", "").replace("\uf8f1", "")
    while (box := _BOX.search(text)) and (end := _closing(text, box.end())) is not None:
        text = f"{text[: box.start()]}\uf8f0{text[box.end() : end]}\uf8f1{text[end + 1 :]}"
    return text


def _closing(text: str, start: int) -> int | None:
    depth = 1
    for match in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return None


def _settled(text: str, options: Options) -> tuple[frozenset[str], bool]:
    found = statements(text, options)
    if not found:
        return frozenset(), True
    last = found[-1]
    rivals = [one.letters for one in found[:-1] if one.letters != last.letters and not _replaced(one, last, text)]
    letters = last.letters.union(*rivals, _alternatives(text[last.end :], last.letters, options))
    return letters, is_plain(text, last, options)


def _replaced(earlier: Statement, last: Statement, text: str) -> bool:
    """Whether the last statement corrects an earlier one, rather than offering a second choice."""
    if earlier.letters < last.letters and last.start <= earlier.start:
        return True
    between = text[earlier.end : max(earlier.end, last.start)]
    sentence = _SENTENCE.split(between)[-1]
    if _ALTERNATIVE.search(sentence) and not _CORRECTED.search(sentence):
        return False
    return bool(_CORRECTED.search(text[earlier.end : last.end])) or len(between) > _FAR


def _alternatives(tail: str, chosen: frozenset[str], options: Options) -> frozenset[str]:
    """The other options that the sentences after the choice offer as possible, too."""
    offered: set[str] = set()
    for sentence in _SENTENCE.split(tail):
        if _ALTERNATIVE.search(sentence) and not _DENIAL.search(sentence):
            labels = re.findall(r"(?<![A-Za-z0-9_'])([A-Z])(?![A-Za-z0-9'_-])", sentence)
            words = {"A"} if re.search(r"\bA [a-z]", sentence) else set()
            offered |= ({*labels} & set(options.letters)) - words - {"I"} | options.mentioned(sentence)
    return frozenset(offered - chosen)


def _verdict(status: Status, wanted: frozenset[str], chosen: frozenset[str], note: str = "") -> Verdict:
    outcomes = {Status.CORRECT: Outcome.CORRECT, Status.INCORRECT: Outcome.INCORRECT}
    evidence = {"reference": "".join(sorted(wanted)) or None, "answer": "".join(sorted(chosen))}
    return Verdict(
        outcome=outcomes.get(status, Outcome.UNDECIDED),
        status=status,
        verifier=NAME,
        evidence=evidence | ({"note": note} if note else {}),
    )
