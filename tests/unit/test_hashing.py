"""Hashes and draws: the same on every machine, different for different inputs."""

from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kat_data.hashing import ADDED_LATER, canonical_json, content_hash, draw, fraction, sha256


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    width: int
    colour: Colour
    inner: "tuple[Box, ...]" = ()


def test_canonical_json_sorts_the_keys_of_mappings_and_of_dataclasses() -> None:
    box = Box(width=2, colour=Colour.RED, inner=(Box(width=1, colour=Colour.RED),))
    plain = {
        "width": 2,
        "inner": [{"width": 1, "inner": [], "colour": "red"}],
        "colour": "red",
    }
    expected = '{"colour":"red","inner":[{"colour":"red","inner":[],"width":1}],"width":2}'
    assert canonical_json(box).decode() == canonical_json(plain).decode() == expected
    assert content_hash(box) == content_hash(plain) == sha256(expected.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterBox:
    width: int
    colour: Colour
    inner: "tuple[Box, ...]" = ()
    lid: str = field(default="", metadata=ADDED_LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutDefault:
    lid: str = field(metadata=ADDED_LATER)


def test_a_field_that_was_added_later_counts_once_it_holds_something() -> None:
    old = Box(width=2, colour=Colour.RED)
    assert content_hash(LaterBox(width=2, colour=Colour.RED)) == content_hash(old)
    assert b'"lid":"oak"' in canonical_json(LaterBox(width=2, colour=Colour.RED, lid="oak"))
    with pytest.raises(TypeError):
        content_hash(WithoutDefault(lid="oak"))


def test_text_is_hashed_as_utf_8() -> None:
    assert canonical_json({"é": "中"}) == '{"é":"中"}'.encode()


@pytest.mark.parametrize("value", [{1, 2}, object(), Box, {"x": 2**70}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_draws_never_change() -> None:
    assert draw(7, "a", b"b") == 17036637615917232878
    assert sha256(b"").hex().startswith("e3b0c442")


@given(st.integers(), st.lists(st.text() | st.binary(), max_size=3))
def test_a_fraction_is_within_its_range(seed: int, parts: list[str | bytes]) -> None:
    assert 0 <= fraction(seed, *parts) < 1
    assert fraction(seed, *parts) == fraction(seed, *parts)


def test_the_largest_draw_is_a_fraction_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kat_data.hashing.draw", lambda *_: 2**64 - 1)
    assert 0.999 < fraction(1) < 1


def test_seed_parts_and_the_cut_between_parts_all_matter() -> None:
    draws = [draw(1, "ab", "c"), draw(2, "ab", "c"), draw(1, "a", "bc"), draw(1, "abc"), draw(1), draw(12, "ab")]
    assert len(set(draws)) == len(draws)
    assert draw(1, "é") == draw(1, "é".encode())


def test_fractions_are_spread_evenly() -> None:
    below = sum(fraction(3, str(number)) < 0.01 for number in range(20_000))
    assert 150 < below < 250
