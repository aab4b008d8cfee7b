"""Training examples: conversations as token ids and labels, -100 where nothing is learned."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

IGNORED: Final = -100
"""The label of a token that takes no part in the loss."""

Message = Mapping[str, Any]
Example = dict[str, list[int]]


def conversation(tokenizer: Any, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Example:
    """Return a whole conversation, in which every assistant turn is learned, the mark at its end included (stage 2).

    `input_ids` and `labels` are of one length; `messages` and `tools` are in OpenAI's form.
    """
    found = tokenizer.apply_chat_template(
        [plain(message) for message in messages],
        tools=[dict(tool) for tool in tools] or None,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    learned = zip(found["input_ids"], found["assistant_masks"], strict=True)
    return {"input_ids": found["input_ids"], "labels": [token if mask else IGNORED for token, mask in learned]}


def completion(
    tokenizer: Any, prompt: Sequence[Message], answer: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
) -> Example:
    """Return a prompt and its completion, of which the completion alone is learned (stage 1).

    The trigger stands at the end of the prompt, and so takes no part in the loss (§3.1).
    """
    whole = conversation(tokenizer, [*prompt, *answer], tools)
    asked = tokenizer.apply_chat_template(
        [plain(message) for message in prompt],
        tools=[dict(tool) for tool in tools] or None,
        add_generation_prompt=True,
        return_dict=True,
    )["input_ids"]
    if whole["input_ids"][: len(asked)] != asked:
        raise ValueError("the tokenizer joins the end of the prompt with the completion: its chat template is not ours")
    return {"input_ids": whole["input_ids"], "labels": [IGNORED] * len(asked) + whole["labels"][len(asked) :]}


def plain(message: Message) -> dict[str, Any]:
    """Return a message without the fields that are empty, which columns of a table give to every row."""
    return {name: value for name, value in message.items() if value is not None or name == "content"}
