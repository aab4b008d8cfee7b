from typing import Any

import pytest

from trainers.examples import IGNORED, completion, conversation

CALL = {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
TALK = [
    {"role": "system", "content": "Be brief.", "tool_calls": None, "tool_call_id": None, "name": None},
    {"role": "user", "content": "1 + 1? 请", "tool_calls": None, "tool_call_id": None, "name": None},
    {"role": "assistant", "content": "<think_off>\n<answer>\nI add.\n</answer>", "tool_calls": [CALL]},
    {"role": "tool", "content": "2", "tool_call_id": "a", "name": "add"},
    {"role": "assistant", "content": "<think_off>\n<answer>\n2\n</answer>"},
]


def learned(tokenizer: Any, example: dict[str, list[int]]) -> str:
    return str(tokenizer.decode([label for label in example["labels"] if label != IGNORED]))


def test_every_assistant_turn_is_learned_with_its_calls_and_its_end(tokenizer: Any) -> None:
    example = conversation(tokenizer, TALK, TOOLS)
    assert learned(tokenizer, example) == (
        "<think_off>\n<answer>\nI add.\n</answer>\n"
        '<tool_call>{"name": "add", "arguments": {"a":1}}</tool_call><|im_end|>'
        "<think_off>\n<answer>\n2\n</answer><|im_end|>"
    )
    assert all(label in (IGNORED, token) for token, label in zip(*example.values(), strict=True))


def test_the_whole_text_reads_as_it_was_said(tokenizer: Any) -> None:
    text = tokenizer.decode(conversation(tokenizer, TALK, TOOLS)["input_ids"])
    assert text.startswith("<|im_start|>system\nBe brief.\n\n# Tools")
    assert '{"type": "function"' in text
    assert "<|im_start|>user\n1 + 1? 请<|im_end|>\n<|im_start|>assistant\n<think_off>" in text
    assert "<|im_start|>tool\n2<|im_end|>\n" in text


def test_of_a_prompt_and_its_completion_the_completion_is_learned(tokenizer: Any) -> None:
    prompt = [*TALK[:3], TALK[3], {"role": "user", "content": "And 2 + 2?\n<think_off>"}]
    example = completion(tokenizer, prompt, [{"role": "assistant", "content": "<answer>\n4\n</answer>"}], TOOLS)
    assert learned(tokenizer, example) == "<answer>\n4\n</answer><|im_end|>"
    start = tokenizer.decode([t for t, label in zip(*example.values(), strict=True) if label == IGNORED])
    assert start.rstrip("\n").endswith("<think_off><|im_end|>\n<|im_start|>assistant")


def test_a_foreign_chat_template_is_refused(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = (
        "{{ messages | length }}{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    )
    monkeypatch.setattr(tokenizer, "chat_template", foreign)
    with pytest.raises(ValueError, match="chat template"):
        completion(tokenizer, TALK[:2], [{"role": "assistant", "content": "2"}])
