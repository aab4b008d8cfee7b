"""Calibration texts: a text file, JSON Lines or a snapshot's folder, read one text at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from kat_data.errors import ConfigError
from kat_data.snapshots.read import open_snapshot


def texts(path: Path, tokenizer: Any) -> Iterator[str]:
    """Yield the texts at `path`; raises `ConfigError` with the line that holds none.

    A folder is a snapshot, `.jsonl` has an object a line with `text`, `messages`, or `prompt` and `completion`, and in
    any other file texts are parted by empty lines. Messages are written by the tokenizer's chat template where it has
    one.
    """
    if path.is_dir():
        yield from (_text(row, tokenizer, str(path)) for row in open_snapshot(path).rows())
    elif path.suffix == ".jsonl":
        for number, line in _lines(path):
            yield _text(_object(line, f"{path}:{number}"), tokenizer, f"{path}:{number}")
    else:
        yield from _paragraphs(line for _, line in _lines(path, empty=True))


def batches(found: Iterable[str], tokenizer: Any, *, limit: int, size: int, max_tokens: int) -> Iterator[Any]:
    """Yield the first `limit` texts that are not empty as padded batches of `size`, each text cut at `max_tokens`."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    chosen = islice((text for text in found if text.strip()), limit)
    while batch := list(islice(chosen, size)):
        yield tokenizer(batch, return_tensors="pt", padding=True, truncation=True, max_length=max_tokens)


def _text(row: Mapping[str, Any], tokenizer: Any, where: str) -> str:
    if isinstance(text := row.get("text"), str):
        return text
    messages: Any = row.get("messages") or row.get("prompt")
    if isinstance(messages, str):
        return messages + str(row.get("completion") or "")
    if not isinstance(messages, list) or not messages:
        raise ConfigError(f"{where}: neither `text` nor `messages` nor `prompt`")
    return _conversation([*messages, *(row.get("completion") or [])], tokenizer, where)


def _conversation(messages: Sequence[Mapping[str, Any]], tokenizer: Any, where: str) -> str:
    plain: list[dict[str, Any]] = [
        {"role": message.get("role"), "content": message.get("content") or ""} for message in messages
    ]
    if not tokenizer.chat_template:
        return "\n\n".join(message["content"] for message in plain)
    try:
        return str(tokenizer.apply_chat_template(plain, tokenize=False))
    except Exception as error:  # a chat template is a program of the model's: it may raise anything
        raise ConfigError(f"{where}: the model's chat template refuses the messages: {error}") from None


def _lines(path: Path, *, empty: bool = False) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if empty or line.strip())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: not a JSON object")
    return found


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line)
        elif held:
            yield "".join(held).strip()
            held = []
    if held:
        yield "".join(held).strip()
