"""What a teacher is asked about a row, and what of it is compared."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kat_data.domain.mode import Mode
from trainers.config import Model
from trainers.examples import IGNORED
from trainers.teach import Lessons, Reader, Regime, Teachers

CALL = {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}


def row(mode: str = "think_on", **changes: Any) -> dict[str, Any]:
    thinking = "<think>\n1 and 1, 日本\n</think>\n" if mode == "think_on" else ""
    return {
        "prompt": [
            {"role": "user", "content": "Hello", "name": None},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": f"1 + 1?\n<{mode}>"},
        ],
        "completion": [{"role": "assistant", "content": f"{thinking}<answer>\n2\n</answer>", "tool_calls": None}],
        "tools": "[]",
        "mode": mode,
        **changes,
    }


@pytest.fixture
def readers(tiny_model: Path, other_teacher: Path) -> dict[Mode, Reader]:
    return {
        Mode.ON: Reader(Regime(model=Model(path=str(other_teacher)))),
        Mode.OFF: Reader(Regime(model=Model(path=str(tiny_model)), trigger=True)),
    }


def decoded(tokenizer: Any, ids: Any) -> str:
    return str(tokenizer.decode(list(ids)))


def test_a_teacher_reads_its_own_template_without_the_trigger(tokenizer: Any, readers: dict[Mode, Reader]) -> None:
    lesson = Lessons(tokenizer, readers, 4)(row())
    teacher = readers[Mode.ON]._tokenizer
    # The template opens the thinking itself; the completion does so too, and it is asked about.
    assert decoded(teacher, lesson["teacher_prompt"]) == "user: Hello\nassistant: Yes?\nuser: 1 + 1?\nsaid: "
    assert decoded(teacher, lesson["teacher_tokens"]).startswith("<think>\n1 and 1, 日本\n</think>\n<answer>")
    assert decoded(teacher, lesson["teacher_tokens"]).endswith("</answer></s>")


def test_a_teacher_that_knows_the_trigger_reads_it(tokenizer: Any, readers: dict[Mode, Reader]) -> None:
    lesson = Lessons(tokenizer, readers, 4)(row("think_off"))
    assert (
        lesson["teacher_prompt"]
        == [t for t, of in zip(lesson["input_ids"], lesson["labels"], strict=True) if of == IGNORED][:-1]
    )
    # The same tokenizer: every token is a span of its own.
    learned = [label for label in lesson["labels"] if label != IGNORED]
    assert lesson["teacher_tokens"] == learned
    assert lesson["first"].tolist() == lesson["last"].tolist() == list(range(len(learned)))


def test_the_spans_cover_the_completion_and_close_at_the_same_text(tokenizer: Any, readers: dict[Mode, Reader]) -> None:
    answer = [{"role": "assistant", "content": "<answer>\nI add: é日🙂\n</answer>", "tool_calls": [CALL]}]
    lesson = Lessons(tokenizer, readers, 4)(row(completion=answer))
    ours = [label for label in lesson["labels"] if label != IGNORED]
    theirs, teacher = lesson["teacher_tokens"], readers[Mode.ON]._tokenizer
    for end, teacher_end in zip(lesson["last"][:-1], lesson["teacher_last"][:-1], strict=True):
        assert decoded(tokenizer, ours[: end + 1]) == decoded(teacher, theirs[: teacher_end + 1])
    assert "<tool_call>" in decoded(tokenizer, ours)
    assert (lesson["last"][-1], lesson["teacher_last"][-1]) == (len(ours) - 1, len(theirs) - 1)
    assert (np.diff(lesson["first"]) > 0).all()
    assert ours[-1] == tokenizer.eos_token_id


def test_neither_prompt_nor_trigger_is_learned(tokenizer: Any, readers: dict[Mode, Reader]) -> None:
    triggers = {tokenizer.convert_tokens_to_ids(f"<{mode}>") for mode in Mode}
    for mode in ("think_on", "think_off"):
        lesson = Lessons(tokenizer, readers, 4)(row(mode))
        assert triggers & set(lesson["input_ids"])
        assert not triggers & set(lesson["labels"])


def test_the_key_hangs_on_the_teachers_question(tokenizer: Any, readers: dict[Mode, Reader]) -> None:
    lessons = Lessons(tokenizer, readers, 4)
    assert lessons(row())["key"] == lessons(row(difficulty=3.0))["key"]
    other = row()
    other["prompt"][0]["content"] = "Hi"
    found = {lessons(row())["key"], lessons(other)["key"], lessons(row("think_off"))["key"]}
    found.add(Lessons(tokenizer, readers, 5)(row())["key"])
    assert len(found) == 4


def test_a_foreign_chat_template_is_refused(tokenizer: Any, readers: dict[Mode, Reader]) -> None:
    strange = pickle.loads(pickle.dumps(tokenizer))
    strange.chat_template = strange.chat_template.replace("{{- '<|im_end|>' -}}", "{{- '!' -}}")
    with pytest.raises(ValueError, match="chat template is not ours"):
        Lessons(strange, readers, 4)(row("think_off"))


def test_each_mode_has_its_teacher() -> None:
    on, off = Regime(model=Model(path="on")), Regime(model=Model(path="off"))
    teachers = Teachers(think_on=on, think_off=off, cache=Path("c"))
    assert teachers.of(Mode.ON) is on
    assert teachers.of(Mode.OFF) is off
