"""Normalising text: once is enough, and what is kept is what people see."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kat_data.domain.template import unholdable
from kat_data.domain.text import damage, fold, normalise

awkward = st.sampled_from(
    ["\u200b", "\u0301", "e", "\r\n", "\r", " \n", "\t\n", "\x00", "\ufeff", "\u3000", "한", "\u1100\u1161", "\u00ad"]
)


def is_unseen(character: str) -> bool:
    """Whether a character is a control or one of the format characters that the normal form drops."""
    code = ord(character)
    if unicodedata.category(character) == "Cc":
        return True
    ranges = ((0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F))
    single = (0xAD, 0x61C, 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB)
    return code in single or 0xE0000 <= code <= 0xE007F or any(low <= code <= high for low, high in ranges)


texts = st.lists(awkward | st.text(max_size=5), max_size=12).map("".join)


@given(texts)
def test_normalise_and_fold_are_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert fold(fold(text)) == fold(text) == fold(normalise(text))


@given(texts | st.text(alphabet="ab \t\n", max_size=12))
def test_the_short_cuts_give_what_the_rules_give(text: str) -> None:
    ruled = text.replace("\r\n", "\n")
    for end in "\r\x85\u2028\u2029":
        ruled = ruled.replace(end, "\n")
    ruled = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", ruled, flags=re.ASCII)
    ruled = "".join(c for c in ruled if c in "\n\t" or not is_unseen(c))
    ruled = re.sub("[ \t]+\n", "\n", unicodedata.normalize("NFC", ruled)).strip()
    assert normalise(text) == ruled
    assert fold(text) == " ".join(ruled.split())


@given(texts)
def test_normal_text_is_nfc_and_stripped(text: str) -> None:
    normal = normalise(text)
    assert unicodedata.is_normalized("NFC", normal)
    assert normal == normal.strip()
    assert "\r" not in normal
    assert unholdable(normal) is None or "<" in normal


@given(texts)
def test_fold_forgets_white_space_alone(text: str) -> None:
    assert fold(text).split(" ") == normalise(text).split() or not fold(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  cafe\u0301 ", "caf\u00e9"),
        ("e\u200b\u0301", "\u00e9"),
        ("a \t\r\nb\r\n\r\n", "a\nb"),
        ("\ufeffBOM\x00\x07", "BOM"),
        ("soft\u00adhyphen", "softhyphen"),
        ("  indented\n    code", "indented\n    code"),
        ("a\x85b\u2028c\u2029d", "a\nb\nc\nd"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("abc \u202egnp.exe\u202c", "abc gnp.exe"),
        ("Hi\U000e0068\U000e0069", "Hi"),
        ("C1\x80\x9f", "C1"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("家\u200d族 👩\u200d🔬", "家\u200d族 👩\u200d🔬"),
    ],
)
def test_examples(text: str, normal: str) -> None:
    assert normalise(text) == normal


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Solve \x0crac{1}{2}", r"holds the control character U+000C before `rac`: was it `\f…`?"),
        ("\x08eta", r"holds the control character U+0008 before `eta`: was it `\b…`?"),
        ("\x07lpha and \x0bec", r"holds the control character U+0007 before `lpha`: was it `\a…`?"),
        ("caf\ufffd", "holds U+FFFD, which stands for a character that could not be read"),
        ("x \uf0b3 5", "holds U+F0B3, a private character, which means something only in the font that it came from"),
        ("x\uffff", "holds U+FFFF, which is no character"),
        ("x\ud800", "holds U+D800, a lone surrogate, which is not valid Unicode"),
    ],
)
def test_what_was_lost_is_damage(text: str, why: str) -> None:
    assert damage(text) == why


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "tab\tline\nend",
        "page\n\x0cbreak",
        "\x00\x01\x1b[0m",
        "a\u202eb",
        "👩\u200d🔬",
        "half\x0cPage",
        "\u200bé",
    ],
)
def test_what_is_only_unseen_is_no_damage(text: str) -> None:
    assert damage(text) is None


@given(texts)
def test_the_normal_form_adds_no_damage(text: str) -> None:
    assert damage(text) is not None or damage(normalise(text)) is None
