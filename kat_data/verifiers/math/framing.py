r"""The words around a value in a sentence that states it: a small, closed lexicon; any other word decides nothing.

There is no end of phrases that deny, doubt, bound or condition a value, but few words state one plainly. A value is
taken out of a sentence only if all its other words are in `framing.yaml`; `could`, `twice`, `says` fall out by
themselves.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_UPRIGHT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|mbox)\s*\{([^{}]*)\}")
_RELATION = re.compile(
    r"[<>?~≈]|!=|\\(?:neq?|not|approx|sim(?:eq)?|cong|doteq|lt|gt|leq?(?:slant)?|geq?(?:slant)?|[bx]?cancel|sout"
    r"|[hv]?phantom)(?![A-Za-z])"
)
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[a-z]+\*?\}|\\[A-Za-z]+|\\.")
_FORMULA = re.compile(r"\$\$[^$]+\$\$|\$[^$\n]*[A-Za-z\\=^_][^$\n]*\$|\\\[.*?\\\]|\\\(.*?\\\)", re.DOTALL)
_BOUND = re.compile(r"\b(?:at|the) (?:very )?(?:least|most)\b(?! possible)(?=\s*[\d$(\\]|\s*$)", re.IGNORECASE)
_SUPERLATIVE = re.compile(
    r"[\s$]*(?:is|are) (?:indeed )?the "
    r"(?:only|smallest|largest|highest|lowest|greatest|smaller|larger|unique|maximum|minimum)\b"
)
_RESTRICTING = re.compile(r"\b(?:that|who|which) (?:are|is|do|does)\b(?! not)")
_CORRECTED = re.compile(r"^\s*(?:(?:no|not),? )?it'?s not [\d.,/]+[,;]? (?=it'?s )", re.IGNORECASE)  # of another number
_BY = re.compile(r"[\s$]*(?:by|to) [\d$(\\]|\s*(?:to be|to get) ")
_COMPARED = re.compile(r"[\s$]*(?:less|more|fewer|greater) than\b")
_FIGURE = re.compile(r"(?<!\\)\b[A-Z]{2,8}\b")
_ENGLISH = re.compile(r"[A-Za-z]\.[a-z]\.|[A-Za-z]+(?:['-][A-Za-z]+)*")
_CHINESE = re.compile(r"[\u4e00-\u9fff]+")
_OTHER = re.compile(r"[^\W\d_\u4e00-\u9fff]")
_TERM = re.compile(
    r"\d[A-Za-z](?![A-Za-z])|(?<![A-Za-z])[A-Za-z]\s*[-+*/^]\s*\d[^=]*=|\d\s*[-+*/]\s*[A-Za-z](?![A-Za-z])"
)
_ASKED = re.compile(r"\s*(?:is|are|was|were|will|must)\b", re.IGNORECASE)
_OF_ANSWER = re.compile(
    r"\b(?:of|to|and|with|by|in|on) (?:the|this|my|our|that) (?:final |correct )?(?:answer|result)\b"
    r"|\b(?:answer|result) (?:has|in)\b|\b(?:to (?:be|get) the answer)\b|\b(?:square|cube) of\b|\d to\s*$|答案的",
    re.IGNORECASE,
)
_ACCENT = re.compile(r"\\(?:wide)?(?:bar|hat|tilde|d?dot|check)(?![a-z])\s*\{?\s*[A-Za-z]")
_APART = re.compile(r"[;:()\u4e00-\u9fff]")
_VARIABLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lexicon:
    framing: frozenset[str]
    trailing: frozenset[str]
    expression: frozenset[str]
    verbs: frozenset[str]
    changing: frozenset[str]
    nouns: frozenset[str]
    chinese_framing: re.Pattern[str]
    chinese_trailing: re.Pattern[str]
    chinese_nouns: re.Pattern[str]
    anywhere: re.Pattern[str]
    afterwards: re.Pattern[str]


def is_plain(before: str, after: str) -> bool:
    """Whether a value between these two texts is stated plainly: every word of theirs is neutral.

    Signs, numbers and formulas without relations are neutral too; a question is not.
    """
    before = _CORRECTED.sub(" ", before)
    return (
        not _ASKED.match(before)
        and not _TERM.search(_FORMULA.sub(" ", before))
        and _is_neutral(before)
        and follows_plainly(after)
    )


def follows_plainly(after: str) -> bool:
    """Whether what follows a value in its sentence leaves it as it is."""
    return _is_neutral(after, follows=True) and not _BY.match(after)


def continues_plainly(before: str, after: str) -> bool:
    """Whether what follows a box leaves it as it is; the box is the answer already, so nouns of all kinds may follow.

    They may where a clause with a verb leads up to the box (`there are` 5 `horses in the parade`), up to a comma, and
    in the company of no word that could change the answer.
    """
    if follows_plainly(after):
        return True
    lexicon = _lexicon()
    phrase, _, rest = lexicon.anywhere.sub(" ", _UPRIGHT.sub(r" \1 ", after)).partition(",")
    is_clause = "=" in before or bool(_words(before) & lexicon.verbs) or bool(_SUPERLATIVE.match(phrase))
    words = _words(_RESTRICTING.sub(" ", _SUPERLATIVE.sub(" ", phrase, count=1)))
    contracted = any("'" in word and not word.endswith("'s") for word in words)
    changed = words & lexicon.changing or contracted or _COMPARED.match(phrase) or _RELATION.search(phrase)
    return is_clause and not changed and not _APART.search(phrase) and follows_plainly(rest)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _ENGLISH.findall(_COMMAND.sub(" ", text)))


def has_framing(text: str) -> bool:
    """Whether a text has words at all."""
    return bool(_CHINESE.search(text) or re.search(r"[A-Za-z]{2,}", _COMMAND.sub(" ", text)))


def unknown_words(text: str, known: str = "") -> list[str]:
    r"""The words of an expression that are neither in the lexicon nor in `known`: `fails` of `n = 7 fails`."""
    lexicon, text = _lexicon(), _UPRIGHT.sub(r" \1 ", text)
    accents = [] if _ACCENT.search(known) else _ACCENT.findall(text)  # a mean or an estimate of x is not x
    text = _COMMAND.sub(" ", lexicon.anywhere.sub(" ", text))
    given = {word.lower() for word in _ENGLISH.findall(known)}
    letters = set(known)
    words = [word for word in _ENGLISH.findall(text) if len(word) > 1]
    return (
        accents
        + [
            word
            for word in words
            if word.lower() not in given
            and not _is_word(word, lexicon.framing | lexicon.trailing | lexicon.nouns | lexicon.expression)
            and not _is_product(word, letters)
        ]
        + [
            run
            for run in _CHINESE.findall(text)
            if run not in known and run not in "和或" and not lexicon.chinese_trailing.fullmatch(run)
        ]
    )


def _is_product(word: str, letters: set[str]) -> bool:
    """Whether letters side by side are a product of variables or the name of a figure: `xy`, `ABCD`."""
    if word.isupper():
        return len(word) <= 2 * _VARIABLES
    return len(word) <= _VARIABLES and (set(word) <= letters or not re.search("[aeiou]", word))


def _is_neutral(text: str, *, follows: bool = False) -> bool:
    lexicon, text = _lexicon(), _UPRIGHT.sub(r" \1 ", text)
    text = lexicon.anywhere.sub(" ", text)
    text = lexicon.afterwards.sub(" ", text) if follows else text
    if _RELATION.search(text) or _OF_ANSWER.search(text) or _BOUND.search(text):
        return False
    text = _COMMAND.sub(" ", _FORMULA.sub(lambda match: _FIGURE.sub(" ", match.group()), text))
    words = lexicon.framing | lexicon.nouns | (lexicon.trailing if follows else frozenset())
    chinese = lexicon.chinese_trailing if follows else lexicon.chinese_framing
    return (
        all(len(word) == 1 or _is_word(word, words) for word in _ENGLISH.findall(text))
        and all(chinese.fullmatch(run) for run in _CHINESE.findall(text))
        and not _OTHER.search(_ENGLISH.sub(" ", text))
    )


def _is_word(word: str, words: frozenset[str]) -> bool:
    word = word.lower().removesuffix("'s")
    return word in words or word.rstrip(".") in words


@cache
def _lexicon() -> _Lexicon:
    import yaml

    read = yaml.safe_load((files("kat_data.verifiers.math") / "framing.yaml").read_text("utf-8"))
    english = {group: words.split() for group, words in read["english"].items()}
    chinese = {group: words.split() for group, words in read["chinese"].items()}
    nouns = {form for noun in english["nouns"] for form in _forms(noun)}
    around = [*chinese["framing"], *chinese["nouns"]]
    return _Lexicon(
        framing=frozenset(english["framing"]) | frozenset(english["names"]),
        trailing=frozenset(english["trailing"]),
        verbs=frozenset(english["verbs"]),
        changing=frozenset(english["changing"]),
        expression=frozenset(english["expression"]),
        nouns=frozenset(nouns),
        chinese_framing=_runs(around),
        chinese_trailing=_runs([*around, *chinese["trailing"]]),
        chinese_nouns=_runs(chinese["nouns"]),
        anywhere=re.compile("|".join(read["phrases"]["anywhere"]), re.IGNORECASE),
        afterwards=re.compile("|".join(read["phrases"]["trailing"]), re.IGNORECASE),
    )


def _forms(noun: str) -> tuple[str, ...]:
    """A noun with its regular plurals."""
    return noun, f"{noun}s", f"{noun}es", f"{noun[:-1]}ies" if noun.endswith("y") else noun


def _runs(words: list[str]) -> re.Pattern[str]:
    """A pattern of one or more of these words without a gap; the longest word is taken, so that it stays linear."""
    return re.compile(f"(?>{'|'.join(sorted(set(words), key=len, reverse=True))})+")
