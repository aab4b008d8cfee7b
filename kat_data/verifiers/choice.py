"""Multiple choice: the letter (or the option's own text) on which a reply settles, against the reference."""

import re
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.verifiers.math_extract import TAIL, boxes, collapse
from kat_data.verifiers.math_text import normalise

_LETTERS = "ABCDEFGHIJ"
_UPRIGHT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|boxed)\s*\{([^{}]*)\}|\*\*|[$`]|\\[()\[\]]")
_WHOLE = re.compile(r"[(\[]?([A-Ja-j])(?:[)\].:,]+(?:\s.*)?)?", re.DOTALL)
_STATED = re.compile(
    r"(?:\b(?:final\s+|correct\s+|best\s+)?(?:answer|option|choice)\b(?:\s+(?:is|would be|must be|should be))?"
    r"|(?:正确)?(?:答案|选项)(?:应该|应)?[是为]?|(?:故|应|所以|因此)?选择?)\s*:?\s*(?:option\s+|choice\s+|选项?\s*)?"
    r"(?P<letters>[(\[]?[A-J][)\]]?(?![A-Za-z'])(?:\s*(?:,|/|or|and|或|和)\s*[(\[]?[A-J][)\]]?(?![A-Za-z']))*)",
    re.IGNORECASE,
)
_LINE = re.compile(r"[(\[]?([A-J])[)\]]?\s*[.:]?")
_MULTIPLE = re.compile(r"[(\[]?[A-J][)\]]?(?:\s*(?:,|/|or|and|或|和)?\s*[(\[]?[A-J][)\]]?)+", re.IGNORECASE)


class ChoiceVerifier:
    """Decides whether a reply chooses the reference's option; two different final letters, or none, are undecided."""

    name = "choice/1"

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Compare letters; the reference may be a letter or an option's text, found in the verifier's `choices`."""
        choices = [str(choice) for choice in query.verifier.options.get("choices", [])] if query.verifier else []
        wanted = _reference(query.reference or "", choices)
        if wanted is None:
            return self._verdict(Status.NOT_VERIFIED, None, frozenset(), "the reference is no option")
        chosen = chosen_letters(candidate.answer, choices)
        if len(chosen) != 1:
            return self._verdict(Status.UNPARSABLE, wanted, chosen, "several letters" if chosen else "no letter")
        status = Status.CORRECT if chosen == {wanted} else Status.INCORRECT
        return self._verdict(status, wanted, chosen)

    def _verdict(self, status: Status, wanted: str | None, chosen: frozenset[str], note: str = "") -> Verdict:
        outcomes = {Status.CORRECT: Outcome.CORRECT, Status.INCORRECT: Outcome.INCORRECT}
        evidence: dict[str, Any] = {"reference": wanted, "answer": "".join(sorted(chosen))} | (
            {"note": note} if note else {}
        )
        return Verdict(
            outcome=outcomes.get(status, Outcome.UNDECIDED), status=status, verifier=self.name, evidence=evidence
        )


def chosen_letters(reply: str, choices: list[str]) -> frozenset[str]:
    """Return the letters on which a reply settles: one if it is clear, several if it hedges, none if it names none."""
    text = collapse(normalise(reply).rsplit("</think>", 1)[-1])[-TAIL:]
    allowed = _LETTERS[: len(choices)] if choices else _LETTERS
    for read in (_boxed, _whole, _stated, _last_line):
        letters = read(text)
        if letters is not None:
            return frozenset(letters) if letters and letters <= set(allowed) else frozenset()
    matching = {
        _LETTERS[i]
        for i, choice in enumerate(choices[:10])
        if _fold(choice) in {_fold(text), _fold(text.split("\n")[-1])}
    }
    return frozenset(matching)


def _reference(reference: str, choices: list[str]) -> str | None:
    text = normalise(reference)
    matching = [_LETTERS[i] for i, choice in enumerate(choices[:10]) if _fold(choice) == _fold(text)]
    letter = _WHOLE.fullmatch(_bare(text))
    if letter and (not choices or letter.group(1).upper() in _LETTERS[: len(choices)]):
        return letter.group(1).upper()
    return matching[0] if len(matching) == 1 else None


def _boxed(text: str) -> set[str] | None:
    found = boxes(text)
    return _letters(_bare(found[-1][2])) if found else None


def _whole(text: str) -> set[str] | None:
    return _letters(_bare(text))


def _letters(text: str) -> set[str] | None:
    """The letters of a text that is an option's label, with or without the option's text, or several labels."""
    if match := _WHOLE.fullmatch(text):
        rest = text[match.end(1) :].strip(")].:, ")
        return {match.group(1).upper()} | (set(rest.strip("()")) if re.fullmatch(r"\(?[A-J]\)?", rest) else set())
    if _MULTIPLE.fullmatch(text):
        return set(re.findall(r"[A-J]", re.sub(r"(?i)\b(?:or|and)\b", " ", text).upper()))
    return None


def _stated(text: str) -> set[str] | None:
    matches = [m for m in _STATED.finditer(_bare(text)) if not re.fullmatch(r"a", m["letters"])]
    return _letters(matches[-1]["letters"]) if matches else None


def _last_line(text: str) -> set[str] | None:
    match = _LINE.fullmatch(_bare(text.splitlines()[-1])) if text else None
    return {match.group(1)} if match else None


def _bare(text: str) -> str:
    previous = None
    while previous != text:
        previous, text = text, _UPRIGHT.sub(lambda match: match.group(1) or "", text)
    return text.strip().rstrip("。")


def _fold(text: str) -> str:
    return " ".join(_bare(normalise(text)).casefold().split()).strip(" .!。")
