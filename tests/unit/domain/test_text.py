"""Normalising text: once is enough, and what is kept is what people see."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kat_data.domain.template import unholdable
from kat_data.domain.text import fold, normalise

awkward = st.sampled_from(
    ["\u200b", "\u0301", "e", "\r\n", "\r", " \n", "\t\n", "\x00", "\ufeff", "\u3000", "한", "\u1100\u1161", "\u00ad"]
)
texts = st.lists(awkward | st.text(max_size=5), max_size=12).map("".join)


@given(texts)
def test_normalise_and_fold_are_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert fold(fold(text)) == fold(text) == fold(normalise(text))


@given(texts | st.text(alphabet="ab \t\n", max_size=12))
def test_the_short_cuts_give_what_the_rules_give(text: str) -> None:
    ruled = re.sub("[\u200b\u200e\u200f\u2060\ufeff\u00ad]", "", text.replace("\r\n", "\n").replace("\r", "\n"))
    ruled = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", ruled)
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
        ("家\u200d族 👩\u200d🔬", "家\u200d族 👩\u200d🔬"),
    ],
)
def test_examples(text: str, normal: str) -> None:
    assert normalise(text) == normal
