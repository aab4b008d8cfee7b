"""Streamed chat completions: server-sent events gathered into the document that an unstreamed reply would have been."""

from collections.abc import AsyncIterable
from typing import Any

import orjson

_TEXT_FIELDS = ("content", "reasoning_content", "reasoning")


async def gather(lines: AsyncIterable[bytes]) -> dict[str, Any]:
    """Read events up to `[DONE]`; raises `ValueError` where an event cannot be read or the stream ends early."""
    gathered = _Gathered()
    async for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            break
        try:
            gathered.add(orjson.loads(data))
        except (AttributeError, TypeError) as error:
            raise ValueError("an event of the stream is no part of a chat completion") from error
    return gathered.document()


class _Gathered:
    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._tool_calls: dict[int, dict[str, str]] = {}
        self._finish_reason: str | None = None
        self._usage: Any = None

    def add(self, event: Any) -> None:
        if not isinstance(event, dict) or event.get("error"):
            raise ValueError("the stream holds an error")
        self._usage = event.get("usage") or self._usage
        for choice in (event.get("choices") or ())[:1]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            self._add_delta(choice.get("delta") or {})

    def _add_delta(self, delta: dict[str, Any]) -> None:
        for name in _TEXT_FIELDS:
            if isinstance(part := delta.get(name), str):
                self._texts.setdefault(name, []).append(part)
        for part in delta.get("tool_calls") or ():
            function = part.get("function") or {}
            call = self._tool_calls.setdefault(part.get("index", 0), {"name": "", "arguments": ""})
            for name in call:
                call[name] += function.get(name) or ""

    def document(self) -> dict[str, Any]:
        if self._finish_reason is None:
            raise ValueError("the stream ended before the reply did")
        message: dict[str, Any] = {name: "".join(parts) for name, parts in self._texts.items()}
        message["tool_calls"] = [{"function": call} for _, call in sorted(self._tool_calls.items())]
        choice = {"message": message, "finish_reason": self._finish_reason}
        return {"choices": [choice], "usage": self._usage}
