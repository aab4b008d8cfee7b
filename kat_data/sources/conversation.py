"""Messages in the shapes that data sets give them: ShareGPT's `from` and `value`, OpenAI's `role` and `content`."""

from typing import Any

from kat_data.domain.bad_line import BadCode
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Role
from kat_data.sources.fields import as_text
from kat_data.sources.row_error import RowError

_ROLES = {
    "system": Role.SYSTEM,
    "human": Role.USER,
    "user": Role.USER,
    "gpt": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
    "observation": Role.TOOL,
}


def user_message(text: str) -> tuple[Message, ...]:
    """Return a conversation of one user message."""
    return (Message(role=Role.USER, content=text),)


def read_messages(value: Any) -> tuple[Message, ...]:
    """Read a list of messages; raises `RowError` where one is malformed or none is the user's."""
    if not isinstance(value, list):
        raise RowError("the messages are not a list")
    messages = tuple(_message(item) for item in value)
    if not any(message.role is Role.USER for message in messages):
        raise RowError("the conversation has no user turn", BadCode.NO_USER_TURN)
    return messages


def category_of(messages: tuple[Message, ...]) -> Category:
    """Return `multi_turn` where the user speaks more than once, else `general`."""
    turns = sum(message.role is Role.USER for message in messages)
    return Category.MULTI_TURN if turns > 1 else Category.GENERAL


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise RowError("a message is not an object")
    name = item.get("from", item.get("role"))
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise RowError(f"a message has the unknown role {name!r}")
    value = item.get("value", item.get("content"))
    text = "" if value is None else as_text(value, "a message")
    if role is Role.USER and not text.strip():
        raise RowError("a user message is empty", BadCode.NO_USER_TURN)
    return Message(role=role, content=text)
