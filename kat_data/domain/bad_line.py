"""Lines of an imported file that hold no query, each with its number and the reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line (JSON Lines, CSV) or row (JSON, Parquet) that cannot be imported, counted from 1."""

    number: int
    reason: str
