"""What a set stage says of one query: it waits here until the whole set has been looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The query waits in `pool`, named as a stratum; when it is let on it is to bring `responses` samples."""

    pool: str
    responses: int = 1
