"""Format: whether an answer keeps the form that its query asks for."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.verifiers.keyword import contains

_CJK = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff\uac00-\ud7af]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*")
_LATIN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
_FENCE = re.compile(r"^```(?:json)?[ \t]*\n(.*?)\n?```$", re.DOTALL | re.IGNORECASE)
_LANGUAGE_SHARE = 0.7


class FormatVerifier:
    """Decides whether an answer keeps every check of the spec; the evidence tells each check's result."""

    name = "format/1"

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Run the checks that the spec names; no check, or an unknown one, leaves the answer not verified."""
        options = query.verifier.options if query.verifier else {}
        unknown = sorted(set(options) - set(_CHECKS))
        if not options or unknown:
            note = f"unknown checks: {', '.join(unknown)}" if unknown else "the query names no checks"
            return Verdict(
                outcome=Outcome.UNDECIDED, status=Status.NOT_VERIFIED, verifier=self.name, evidence={"note": note}
            )
        results = {name: _CHECKS[name](candidate.answer.strip(), option) for name, option in options.items()}
        correct = all(results.values())
        return Verdict(
            outcome=Outcome.CORRECT if correct else Outcome.INCORRECT,
            status=Status.CORRECT if correct else Status.INCORRECT,
            verifier=self.name,
            evidence={"checks": results, "words": count_words(candidate.answer)},
        )


def count_words(text: str) -> int:
    """Count words; every Chinese, Japanese or Korean character is one."""
    return len(_CJK.findall(text)) + len(_WORD.findall(_CJK.sub(" ", text)))


def read_json(text: str) -> Any:
    """Return the JSON value that a whole answer is, in a code fence or bare; `ValueError` if it is none."""
    fenced = _FENCE.match(text.strip())
    return orjson.loads(fenced.group(1) if fenced else text)


def _is_json(text: str, wanted: bool) -> bool:
    try:
        read_json(text)
    except ValueError:
        return not wanted
    return wanted


def _has_keys(text: str, keys: list[str]) -> bool:
    try:
        value = read_json(text)
    except ValueError:
        return False
    return isinstance(value, dict) and all(key in value for key in keys)


def _is_language(text: str, language: str) -> bool:
    han, latin, others = len(_HAN.findall(text)), len(_LATIN.findall(text)), len(_KANA.findall(text))
    own = {"zh": han, "en": latin}.get(language.lower().split("-")[0], 0)
    return own > 0 and own / (han + latin + others) >= _LANGUAGE_SHARE


_CHECKS: dict[str, Callable[[str, Any], bool]] = {
    "json": _is_json,
    "required_keys": _has_keys,
    "min_words": lambda text, least: count_words(text) >= least,
    "max_words": lambda text, most: 0 < count_words(text) <= most,
    "must_include": lambda text, parts: all(contains(text, part) for part in parts),
    "must_not_include": lambda text, parts: bool(text) and not any(contains(text, part) for part in parts),
    "language": _is_language,
}
