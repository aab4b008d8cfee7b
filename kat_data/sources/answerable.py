"""What every query needs before a run can answer it, whatever its preset."""

from collections.abc import Sequence
from typing import Any

from kat_data.domain.bad_line import BadCode
from kat_data.domain.query import Message
from kat_data.domain.text import damage
from kat_data.domain.tool import tool_problem
from kat_data.sources.row_error import RowError

MAX_CHARS = 1_000_000
"""More than any model reads at once; recipes set the limit of their runs, far below."""


def require_answerable(messages: Sequence[Message], tools: Sequence[Any], reference: str | None) -> None:
    """Raise `RowError` where no run can answer the query; the text says what is wrong.

    Damage is looked for before texts are normalised, which removes its traces.
    """
    if (length := sum(len(message.content) for message in messages)) > MAX_CHARS:
        raise RowError(f"{length:,} characters, and a query has {MAX_CHARS:,} at most", BadCode.TOO_LONG)
    for number, message in enumerate(messages, start=1):
        if why := damage(message.content):
            raise RowError(f"message {number} {why}", BadCode.DAMAGED_TEXT)
    if reference is not None and (why := damage(reference)):
        raise RowError(f"the reference {why}", BadCode.DAMAGED_TEXT)
    for tool in tools:
        if problem := tool_problem(tool):
            raise RowError(problem, BadCode.TOOL_WITHOUT_SCHEMA)
