"""Keywords: whether enough of the expected words stand in an answer."""

import re
import unicodedata

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict


class KeywordVerifier:
    """Decides by the share of keywords found: correct from `minimum` (1.0 unless the spec says otherwise) on."""

    name = "keyword/1"

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Look for every keyword, case folded; ASCII ones as whole words, others anywhere."""
        options = query.verifier.options if query.verifier else {}
        keywords = [str(keyword) for keyword in options.get("keywords", [])]
        if not keywords:
            return self._undecided(Status.NOT_VERIFIED, "the query names no keywords")
        if not candidate.answer.strip():
            return self._undecided(Status.UNPARSABLE, "the answer is empty")
        missing = [keyword for keyword in keywords if not contains(candidate.answer, keyword)]
        share, minimum = 1 - len(missing) / len(keywords), float(options.get("minimum", 1.0))
        correct = share >= minimum - 1e-12
        return Verdict(
            outcome=Outcome.CORRECT if correct else Outcome.INCORRECT,
            status=Status.CORRECT if correct else Status.INCORRECT,
            verifier=self.name,
            evidence={"share": round(share, 6), "minimum": minimum, "missing": missing},
        )

    def _undecided(self, status: Status, note: str) -> Verdict:
        return Verdict(outcome=Outcome.UNDECIDED, status=status, verifier=self.name, evidence={"note": note})


def contains(text: str, keyword: str) -> bool:
    """Whether `keyword` stands in `text`: as whole words where it is ASCII at its ends, else as any part."""
    text, keyword = fold(text), fold(keyword)
    before = r"(?<![a-z0-9_])" if keyword[:1].isascii() and keyword[:1].isalnum() else ""
    after = r"(?![a-z0-9_])" if keyword[-1:].isascii() and keyword[-1:].isalnum() else ""
    return bool(keyword) and re.search(before + re.escape(keyword) + after, text) is not None


def fold(text: str) -> str:
    """Return `text` in NFKC, case folded, with every run of white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
