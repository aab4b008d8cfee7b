"""An endpoint's own key never stays in its replies: they are stored, and may become training data."""

from dataclasses import replace
from typing import Any

from kat_data.domain.call import Reply
from kat_data.domain.tool_call import ToolCall
from kat_data.redaction import MASK, pattern_of

_REAL_KEY = 16  # a shorter word is a placeholder rather than a key, and may well stand in an answer


class KeyMask:
    """Masks one key, in every spelling, wherever a reply holds it."""

    def __init__(self, key: str | None) -> None:
        self._pattern = pattern_of([key]) if key and len(key) >= _REAL_KEY else None

    def __call__(self, reply: Reply) -> Reply:
        """Return the reply with the key as `***`."""
        if self._pattern is None:
            return reply
        return replace(
            reply,
            text=self._without(reply.text),
            reasoning=self._without(reply.reasoning),
            tool_calls=tuple(
                ToolCall(name=self._without(call.name), arguments=self._without(call.arguments))
                for call in reply.tool_calls
            ),
        )

    def _without(self, value: Any) -> Any:
        assert self._pattern is not None
        if isinstance(value, str):
            return self._pattern.sub(MASK, value)
        if isinstance(value, dict):
            return {self._without(name): self._without(held) for name, held in value.items()}
        return [self._without(held) for held in value] if isinstance(value, list) else value
