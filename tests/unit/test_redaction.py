"""Secrets: hidden values in every spelling, what looks like a secret, and what does not."""

import time
from urllib.parse import quote

import orjson
import pytest

from kat_data import redaction
from kat_data.redaction import hide, redact


@pytest.fixture(autouse=True)
def _nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", set())
    monkeypatch.setattr(redaction, "_known", None)


def test_a_hidden_value_is_masked_in_every_spelling() -> None:
    secret = 'a/b+"c d&e'
    hide(secret)
    text = " ".join((secret, quote(secret), quote(secret, safe=""), orjson.dumps(secret).decode()))
    assert redact(text) == '*** *** *** "***"'


def test_the_longer_of_two_values_is_masked_whole() -> None:
    hide("abcdefgh")
    hide("abcdefghijkl")
    assert redact("abcdefghijkl abcdefgh") == "*** ***"


@pytest.mark.parametrize("placeholder", [None, "", "EMPTY", "none"])
def test_placeholders_are_no_secrets(placeholder: str | None) -> None:
    hide(placeholder)
    assert redact("the EMPTY set has none") == "the EMPTY set has none"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("{'Authorization': 'Bearer abcdefghij'}", "{'Authorization': 'Bearer ***'}"),
        ('{"authorization":"Basic dXNlcjpwYXNz"}', '{"authorization":"Basic ***"}'),
        ("sent bearer abcdefgh12345678", "sent bearer ***"),
        ("Incorrect API key provided: sk-proj-4fT9abcdefghijklm", "Incorrect API key provided: ***"),
        ("hf_AbCdEfGhIjKlMnOp12", "***"),
        ("x-api-key: 0123456789", "x-api-key: ***"),
        ("?api_key=0123456789&x=1", "?api_key=***&x=1"),
        ("postgresql://me:pass@db:5432/kat", "postgresql://me:***@db:5432/kat"),
        ("host=db password=pass user=me", "host=db password=*** user=me"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, said: str) -> None:
    assert redact(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of bad news",
        "sk-learn, and sk-learn-compatible-estimators",
        "http://127.0.0.1:8000/v1 cannot be reached",
        "endpoint a (https://api.example.com:443) refuses the key (HTTP 401): set KEY to a valid key",
        "authorization is needed",
        "12:30, user@example.com",
    ],
)
def test_other_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_long_texts_take_no_time() -> None:
    hide("0123456789abcdef")
    text = "://a:b" * 20_000 + "sk-" * 20_000 + "bearer " * 20_000
    start = time.process_time()
    redact(text)
    assert time.process_time() - start < 2.0
