"""Spans between real tokenizers, trained here, over any Unicode text."""

import json
from functools import cache

import pytest

pytest.importorskip("torch")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordLevelTrainer

from trainers.alignment import ByteTokenizer, Tokenized, align, close_turn

CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "números, naïve café; 日本語のテキスト と 中文文本 🙂🙃",
    "<think>\nfirst 3 + 4 = 7\n</think>\n<answer>\n7\n</answer>",
    "def f(x):\n    return x  # spaces   and\ttabs\n\n",
] * 5
TEXT = st.text(max_size=60) | st.lists(st.sampled_from(" \n\tabethq é日本🙂🙃ı\u0301<>/think37"), max_size=60).map(
    "".join
)


@cache
def tokenizer(kind: str) -> ByteTokenizer:
    return ByteTokenizer(trained(kind))


@cache
def trained(kind: str) -> Tokenizer:
    if kind in ("words", "lower"):
        made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.normalizer = (
            normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]) if kind == "lower" else None
        )
        made.train_from_iterator(CORPUS, WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False))
    elif kind == "pieces":
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        specials = {"special_tokens": ["<unk>"], "unk_token": "<unk>"}
        made.train_from_iterator(CORPUS, UnigramTrainer(vocab_size=120, show_progress=False, **specials))
    else:  # bytes-256 splits every character that has several bytes, bytes-330 some
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind != "bytes-400")
        made.decoder, made.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=True)
        options = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet(), "show_progress": False}
        made.train_from_iterator(CORPUS, BpeTrainer(vocab_size=int(kind.removeprefix("bytes-")), **options))
        if kind == "bytes-330":
            made.add_tokens(["<think>", "</think>"])
    return made


KINDS = ["bytes-256", "bytes-330", "bytes-400", "pieces", "words", "lower"]
BYTE_LEVEL = KINDS[:3]


def covered(first: np.ndarray, last: np.ndarray) -> list[int]:
    return [place for a, b in zip(first, last, strict=True) for place in range(a, b + 1)]


@settings(max_examples=200, deadline=None)
@given(TEXT, st.sampled_from(KINDS), st.sampled_from(KINDS))
def test_spans_are_the_common_boundaries_and_leave_no_token_out(text: str, ours: str, theirs: str) -> None:
    sides = [tokenizer(kind)(text) for kind in (ours, theirs)]
    spans = align(*sides)
    for side, first, last in zip(
        sides, (spans.first, spans.teacher_first), (spans.last, spans.teacher_last), strict=True
    ):
        assert covered(first, last) == list(range(int(last[-1]) + 1 if len(last) else 0))
        assert (np.diff(side.ends) >= 0).all()
        assert not len(side.ends) or side.ends[-1] <= len(text.encode())
    assert (sides[0].ends[spans.last] == sides[1].ends[spans.teacher_last]).all()
    left = [
        set(side.ends.tolist()) - set(side.ends[last].tolist())
        for side, last in zip(sides, (spans.last, spans.teacher_last), strict=True)
    ]
    assert not left[0] & left[1]


@settings(max_examples=200, deadline=None)
@given(TEXT, st.sampled_from(BYTE_LEVEL), st.sampled_from(BYTE_LEVEL))
def test_both_sides_of_a_span_are_the_same_bytes(text: str, ours: str, theirs: str) -> None:
    mapped = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    whole = "".join(piece for piece, _ in mapped)
    sides = [tokenizer(kind)(text) for kind in (ours, theirs)]
    spans = align(*sides)
    pieces = [
        [trained(kind).id_to_token(number) for number in side.ids.tolist()]
        for kind, side in zip((ours, theirs), sides, strict=True)
    ]
    start = 0
    for m, last in enumerate(spans.last):
        end = int(sides[0].ends[last])
        assert "".join(pieces[0][spans.first[m] : last + 1]) == whole[start:end]
        assert "".join(pieces[1][spans.teacher_first[m] : spans.teacher_last[m] + 1]) == whole[start:end]
        start = end
    assert start == len(whole)


@settings(max_examples=100, deadline=None)
@given(TEXT, st.sampled_from(KINDS))
def test_equal_tokenizers_give_one_token_a_span(text: str, kind: str) -> None:
    said = tokenizer(kind)(text)
    spans = align(said, tokenizer(kind)(text))
    for places in (spans.first, spans.last, spans.teacher_first, spans.teacher_last):
        assert places.tolist() == list(range(len(said.ids)))


@settings(max_examples=100, deadline=None)
@given(TEXT, st.sampled_from(["pieces", "words", "lower"]))
def test_a_boundary_never_lies_inside_a_character(text: str, kind: str) -> None:
    characters = np.cumsum([0, *(len(character.encode()) for character in text)])
    assert set(tokenizer(kind)(text).ends.tolist()) <= set(characters.tolist())


def test_words_are_cut_where_they_end_although_spaces_belong_to_nobody() -> None:
    text = "the quick  fox"
    spans = align(tokenizer("bytes-330")(text), tokenizer("words")(text))
    ends = tokenizer("words")(text).ends[spans.teacher_last].tolist()
    assert ends == [3, 9, 14]


def test_split_characters_close_where_both_have_the_byte() -> None:
    ours, theirs = tokenizer("bytes-256")("é🙂a"), tokenizer("words")("é🙂a")
    assert ours.ends.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert theirs.ends.tolist()[-1] == 7
    assert align(ours, tokenizer("bytes-256")("é🙂a")).last.tolist() == list(range(7))
    assert align(ours, theirs).last.tolist()[-1] == 6


def test_an_added_token_is_one_span_against_the_pieces_of_its_text() -> None:
    ours, theirs = tokenizer("bytes-330")("<think>7"), tokenizer("bytes-256")("<think>7")
    assert (len(ours.ids), len(theirs.ids)) == (2, 8)
    spans = align(ours, theirs)
    assert spans.teacher_first.tolist() == [0, 7]
    assert spans.teacher_last.tolist() == [6, 7]


def test_the_ends_of_turns_are_a_span_of_their_own() -> None:
    text = "the fox "
    sides = [close_turn(tokenizer(kind)(text), 5, text) for kind in ("bytes-256", "words")]
    spans = align(*sides)
    assert (int(spans.last[-1]), int(spans.teacher_last[-1])) == (len(sides[0].ids) - 1, len(sides[1].ids) - 1)
    # Words have no token for the last space: their end of turn stands alone, the bytes' is merged with it.
    assert int(spans.first[-1]) == int(spans.last[-1]) - 1
    same = align(sides[0], close_turn(tokenizer("bytes-330")(text), 9, text))
    assert int(same.first[-1]) == int(same.last[-1])


def test_nothing_in_common_is_no_span() -> None:
    a, b = (
        Tokenized(ids=np.array([1]), ends=np.array([3])),
        Tokenized(ids=np.array([1, 2]), ends=np.array([1, 2])),
    )
    assert len(align(a, b).last) == 0
    empty = Tokenized(ids=np.array([], dtype=np.int64), ends=np.array([], dtype=np.int64))
    assert len(align(empty, empty).first) == 0
    assert len(align(empty, a).first) == 0


def test_sentence_pieces_of_bytes_are_bytes() -> None:
    spec = json.loads(trained("pieces").to_str())
    spec["model"]["byte_fallback"] = True
    spec["model"]["vocab"] += [[f"<0x{byte:02X}>", -9.0] for byte in range(256)]
    made = ByteTokenizer(Tokenizer.from_str(json.dumps(spec)))
    assert made("the ☃").ends.tolist()[-4:] == [4, 5, 6, 7]


def test_the_hash_is_the_tokenizers_and_not_of_how_it_was_last_used() -> None:
    made = trained("bytes-256")
    before = ByteTokenizer(made).hash
    made.enable_padding()
    made.enable_truncation(5)
    try:
        again = ByteTokenizer(made)
        assert again.hash == before
        assert len(again("the cat sat on the mat").ids) > 5
    finally:
        made.no_padding()
        made.no_truncation()
    assert tokenizer("bytes-330").hash != before
