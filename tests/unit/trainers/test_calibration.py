"""Calibration texts are read from text files, JSON Lines and snapshots."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kat_data.errors import ConfigError
from trainers.calibration import batches, texts

MESSAGES = [{"role": "user", "content": "What is 1 + 1?"}, {"role": "assistant", "content": "2"}]


def test_texts_of_a_file_are_parted_by_empty_lines(tmp_path: Path, tokenizer: Any) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("\none\ntwo\n\n \nthree\n")
    assert list(texts(file, tokenizer)) == ["one\ntwo", "three"]


def test_json_lines_hold_texts_or_prompts_or_messages(tmp_path: Path, tokenizer: Any) -> None:
    file = tmp_path / "texts.jsonl"
    rows = [{"text": "one"}, {"prompt": "two", "completion": " three"}, {"messages": MESSAGES}]
    file.write_text("\n\n".join(json.dumps(row) for row in rows))
    first, second, third = texts(file, tokenizer)
    assert (first, second) == ("one", "two three")
    assert third == tokenizer.apply_chat_template(MESSAGES, tokenize=False)


def test_without_a_chat_template_messages_are_parted_by_empty_lines(tmp_path: Path, tokenizer: Any) -> None:
    class Plain:
        chat_template = None

    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"prompt": MESSAGES[:1], "completion": MESSAGES[1:]}))
    assert list(texts(file, Plain())) == ["What is 1 + 1?\n\n2"]


@pytest.mark.parametrize("stage", ["stage1", "stage2", "stage3"])
def test_a_snapshot_of_any_stage_serves(make_snapshot: Callable[..., Path], tokenizer: Any, stage: str) -> None:
    found = list(texts(make_snapshot(stage, 6), tokenizer))
    assert len(found) == 10
    assert all("What is" in text for text in found)
    assert any("<answer>" in text for text in found) is (stage != "stage3")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"text": "one"}\nno', ":2: not a JSON object"),
        ("[1]", ":1: not a JSON object"),
        ('{"other": 1}', ":1: neither `text` nor `messages` nor `prompt`"),
    ],
)
def test_a_line_without_a_text_is_named(tmp_path: Path, tokenizer: Any, content: str, line: str) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text(content)
    with pytest.raises(ConfigError) as raised:
        list(texts(file, tokenizer))
    assert str(raised.value) == f"{file}{line}"


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match=r"gone\.txt cannot be read: No such file"):
        list(texts(tmp_path / "gone.txt", tokenizer))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.txt is no text in UTF-8"):
        list(texts(tmp_path / "bytes.txt", tokenizer))


def test_messages_that_the_template_refuses_are_one_line(tmp_path: Path) -> None:
    class Refusing:
        chat_template = "x"

        def apply_chat_template(self, *_: Any, **__: Any) -> str:
            raise ValueError("roles must alternate")

    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"messages": MESSAGES}))
    with pytest.raises(ConfigError, match=r":1: the model's chat template refuses the messages: roles must alternate"):
        list(texts(file, Refusing()))


def test_batches_take_the_first_texts_cut_and_padded(tokenizer: Any) -> None:
    def endless() -> Any:
        yield from ["a b c d e f g h", "", " ", "a"]
        yield from iter(lambda: "What is the sum?", None)

    found = list(batches(endless(), tokenizer, limit=5, size=2, max_tokens=4))
    assert [len(batch["input_ids"]) for batch in found] == [2, 2, 1]
    assert found[0]["input_ids"].shape == (2, 4)
    assert found[0]["attention_mask"].sum(1).tolist() == [4, 1]
