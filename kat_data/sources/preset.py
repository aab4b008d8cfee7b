"""Presets by name: each reads one row into a query, and says in one sentence which shape it expects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kat_data.domain.category import Category
from kat_data.domain.query import Message, VerifierSpec
from kat_data.errors import ConfigError
from kat_data.sources.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a preset reads from one row: a query without its source and licence."""

    messages: tuple[Message, ...]
    category: Category
    reference: str | None = None
    verifier: VerifierSpec | None = None
    tools: tuple[dict[str, Any], ...] = field(default=())


Answers = Mapping[str, Any]
Preset = Callable[[Fields, Answers | None], Task]
