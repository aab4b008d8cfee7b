"""Where two tokenizers cut the same text at the same byte: the spans over which their models can be compared.

A fast tokenizer's offsets are in characters, may leave white space out, and give every piece of a split character the
whole of it. So a token's end is taken from the bytes that its piece stands for, wherever the pieces put together are
the text; elsewhere (normalised text, unknown words, word-level vocabularies) from the offsets, and then a place inside
of a split character is never taken for a boundary.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from kat_data.hashing import content_hash

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenized:
    """Tokens of one text: `ids`, and the byte of the UTF-8 text that each `ends` before, never descending."""

    ids: Places
    ends: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """M stretches of the same text: the first and last token of each, inclusive, on both sides."""

    first: Places
    last: Places
    teacher_first: Places
    teacher_last: Places


def align(student: Tokenized, teacher: Tokenized) -> Spans:
    """Return the shortest spans that both tokenizations close at the same byte; tokens behind the last are in none.

    Tokens without a text of their own belong to the span of the byte at which they stand.
    """
    if np.array_equal(student.ids, teacher.ids) and np.array_equal(student.ends, teacher.ends):
        every = np.arange(len(student.ids), dtype=np.int64)
        return Spans(first=every, last=every, teacher_first=every, teacher_last=every)
    common = np.intersect1d(student.ends, teacher.ends)
    first, last = _closing(student.ends, common)
    teacher_first, teacher_last = _closing(teacher.ends, common)
    return Spans(first=first, last=last, teacher_first=teacher_first, teacher_last=teacher_last)


def _closing(ends: Places, common: Places) -> tuple[Places, Places]:
    last = np.searchsorted(ends, common, side="right") - 1
    return np.concatenate([[0], last[:-1] + 1])[: len(last)], last


def close_turn(tokens: Tokenized, end: int, text: str) -> Tokenized:
    """Append the token that ends a turn; it counts as one byte behind the text, on both sides."""
    size = len(text.encode())
    return replace(tokens, ids=np.append(tokens.ids, end), ends=np.append(tokens.ends, size + 1))


class ByteTokenizer:
    """A fast tokenizer that says where in the UTF-8 text its tokens end; `hash` names it wherever it is loaded."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        # How a batch was last padded or cut is kept in the same object, and is no part of what the tokenizer is.
        spec = orjson.loads(tokenizer.to_str()) | {"padding": None, "truncation": None}
        self.hash = content_hash({name: part for name, part in spec.items() if part is not None})
        self._tokenizer = Tokenizer.from_str(orjson.dumps(spec).decode())
        self._added = {added["id"]: added["content"].encode() for added in spec["added_tokens"]}
        self._bytes = _byte_level if "ByteLevel" in _kinds(spec["decoder"]) else _sentence_piece

    def __call__(self, text: str) -> Tokenized:
        """Tokenise `text` without any token of a template."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ends = self._ends_of_pieces(encoding, text.encode()) or _ends_of_offsets(encoding.offsets, text)
        return Tokenized(ids=np.array(encoding.ids, dtype=np.int64), ends=np.array(ends, dtype=np.int64))

    def _ends_of_pieces(self, encoding: Encoding, text: bytes) -> list[int] | None:
        """Return the ends by the bytes of the pieces, or None where these are not the text."""
        try:
            pieces = [
                self._added[number] if number in self._added else self._bytes(token)
                for number, token in zip(encoding.ids, encoding.tokens, strict=True)
            ]
        except KeyError:
            return None
        whole = b"".join(pieces)
        ahead = len(whole) - len(text)  # one where the tokenizer puts a space in front of a text
        if whole != b" " * ahead + text or ahead > 1:
            return None
        return [max(end - ahead, 0) for end in accumulate(map(len, pieces))]


def _ends_of_offsets(offsets: Iterable[tuple[int, int]], text: str) -> list[int]:
    """Return the ends by offsets in characters; a token that shares a character with a later one ends with that one."""
    before = [0, *accumulate(len(character.encode()) for character in text)]
    ends: list[int] = []
    start_of_later, end_of_later = len(text), len(text)
    for start, end in reversed(list(offsets)):
        if end <= start_of_later or not ends:
            end_of_later = end
        start_of_later = min(start, start_of_later)
        ends.append(before[end_of_later])
    return list(accumulate(reversed(ends), max))


def _kinds(decoder: Any) -> set[str]:
    """Return the kinds of a decoder and of those that it is made of."""
    if not decoder:
        return set()
    return {decoder["type"]}.union(*(_kinds(part) for part in decoder.get("decoders", ())))


def _alphabet() -> dict[str, int]:
    """Return GPT-2's alphabet: a printable character stands for each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(rest)}


_BYTES = _alphabet()


def _byte_level(token: str) -> bytes:
    return bytes(map(_BYTES.__getitem__, token))


def _sentence_piece(token: str) -> bytes:
    """Return the bytes of a piece of SentencePiece: `▁` is a space, `<0xE4>` a byte; others are what they say."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()
