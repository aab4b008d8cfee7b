"""Bags of words: near texts are near."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kat_data.testing.embeddings import bag_of_words


def cosine(first: str, second: str) -> float:
    return sum(a * b for a, b in zip(bag_of_words(first), bag_of_words(second), strict=True))


def test_similar_texts_are_near_and_others_far() -> None:
    poem = "Write a short poem about the sea in winter"
    assert cosine(poem, "write a short poem about the winter sea, in spring") > 0.85
    assert cosine(poem, "Explain how bread dough rises when yeast is warm") < 0.4


@given(st.text())
def test_every_text_has_a_direction(text: str) -> None:
    assert math.hypot(*bag_of_words(text)) == pytest.approx(1.0)
