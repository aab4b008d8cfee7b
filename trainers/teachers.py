"""Teachers: models that say how probable each token of a given completion is, here or behind an endpoint.

A teacher reads a completion that is fixed; it never writes one. What it says goes into the cache, so that no teacher
has to live beside the student.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch

from kat_data.errors import ConfigError
from trainers.config import Model
from trainers.record import weights_hash
from trainers.teacher_cache import TeacherCache, Teaching

_PLACES: Final = 2**22  # logits of a local teacher that are read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One completion that a teacher is asked about: its tokens, those of the prompt before it, and the cache's key."""

    key: bytes
    prompt: list[int]
    tokens: list[int]


class Teacher(Protocol):
    """Says of each completion what it holds of its tokens; `tokens_at_once` is what it likes to be asked at a time."""

    tokens_at_once: int

    def say(self, asked: Sequence[Asked]) -> list[Teaching]:
        """Return one answer for each completion, in the same order."""
        ...


def identity(model: Model, served_as: str | None, tokenizer: bytes) -> dict[str, Any]:
    """Return what names a teacher in the cache's keys: never where it is reached, always which weights answer.

    A folder is named by the hash of its weights, a model of the Hub by its revision, and so is one behind an endpoint,
    `served_as` a name there.
    """
    folder = Path(model.path)
    if served_as is None and folder.is_dir():
        named = {"weights": weights_hash(folder.glob("*.safetensors")), "dtype": model.dtype}
    elif model.revision in (None, "main"):
        raise ConfigError(
            f"teacher {model.path}: give the commit as its revision: a name alone may answer otherwise later"
        )
    else:
        named = {"name": served_as or model.path, "revision": model.revision}
    return {**named, "tokenizer": tokenizer.hex()}


def fill(cache: TeacherCache, teacher: Teacher, asked: Iterable[Asked], shard_tokens: int = 2**19) -> int:
    """Ask about what the cache does not hold, and write a shard for every `shard_tokens` tokens; returns how many.

    Called again after a kill it asks about the rest.
    """
    said: dict[bytes, Teaching] = {}
    count = 0
    for group in _groups(_missing(cache, asked), teacher.tokens_at_once):
        said |= dict(zip((one.key for one in group), teacher.say(group), strict=True))
        count += len(group)
        if sum(len(one.own) for one in said.values()) >= shard_tokens:
            cache.add(said)
            said = {}
    cache.add(said)
    return count


def _missing(cache: TeacherCache, asked: Iterable[Asked]) -> Iterator[Asked]:
    seen: set[bytes] = set()
    for one in asked:
        if one.key not in seen and one.key not in cache:
            seen.add(one.key)
            yield one


def _groups(asked: Iterable[Asked], tokens: int) -> Iterator[list[Asked]]:
    """Yield groups whose longest member, times their number, stays within `tokens`; sorted by length in a window."""
    window: list[Asked] = []
    for one in asked:
        window.append(one)
        if len(window) == 1_024:
            yield from _cut(window, tokens)
            window = []
    yield from _cut(window, tokens)


def _cut(window: list[Asked], tokens: int) -> Iterator[list[Asked]]:
    group: list[Asked] = []
    for one in sorted(window, key=length):
        if group and length(one) * (len(group) + 1) > tokens:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def length(one: Asked) -> int:
    """Return how many tokens a teacher reads for it."""
    return len(one.prompt) + len(one.tokens)


class LocalTeacher:
    """A Hugging Face model in this process, on the accelerator where there is one."""

    def __init__(self, model: Model, k: int, tokens_at_once: int = 16_384) -> None:
        from transformers import AutoModelForCausalLM

        kind = "auto" if model.dtype == "auto" else getattr(torch, model.dtype)
        try:
            loaded = AutoModelForCausalLM.from_pretrained(model.path, revision=model.revision, dtype=kind)
        except (OSError, ValueError) as error:
            said = str(error).strip().partition("\n")[0]
            raise ConfigError(f"teacher {model.path} holds no model that can be loaded: {said}") from error
        self._model = loaded.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._k = k
        self.tokens_at_once = tokens_at_once

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def say(self, asked: Sequence[Asked]) -> list[Teaching]:
        device, width = self._model.device, max(map(length, asked))
        ids, mask = torch.zeros(2, len(asked), width, dtype=torch.long, device=device)
        for row, one in enumerate(asked):
            ids[row, : length(one)] = torch.tensor(one.prompt + one.tokens)
            mask[row, : length(one)] = 1
        hidden = self._model.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        return [self._read(hidden[row], one) for row, one in enumerate(asked)]

    def _read(self, hidden: torch.Tensor, one: Asked) -> Teaching:
        # The state of a place predicts the token behind it.
        hidden = hidden[len(one.prompt) - 1 : length(one) - 1]
        tokens = torch.tensor(one.tokens, device=hidden.device)
        rows = max(1, _PLACES // self._model.config.vocab_size)
        parts = []
        for a in range(0, len(tokens), rows):
            said = self._model.get_output_embeddings()(hidden[a : a + rows]).float().log_softmax(-1)
            top, top_ids = said.topk(min(self._k, said.shape[-1]))
            own = said.gather(-1, tokens[a : a + rows, None]).squeeze(-1)
            whole = top.shape[-1] == said.shape[-1]
            tail = torch.zeros_like(own) if whole else (1 - top.exp().sum(-1)).clamp(min=0)
            parts.append((own, top, top_ids, tail))
        own, top, top_ids, tail = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
        pad = ((0, 0), (0, self._k - top.shape[-1]))
        return Teaching(
            own=own,
            top=np.pad(top, pad, constant_values=-np.inf).astype(np.float16),
            top_ids=np.pad(top_ids, pad, constant_values=-1).astype(np.int32),
            tail=tail,
        )
