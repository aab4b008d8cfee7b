"""Slices of an endpoint's limits: what a worker reports of its own, and what it is given until it reports again."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLimits:
    """What an endpoint takes from all its callers together; a rate of none is unlimited."""

    concurrency: int
    rpm: int | None = None
    tpm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a worker has done with the requests and tokens that it was given.

    `spent` since its last report and `held` still; it asks for `asks` more, and can use no fewer tokens than `needs`.
    `refunds` are tokens that calls turned out not to take, by the second in which they were dated.
    """

    spent_requests: int = 0
    spent_tokens: int = 0
    held_requests: int = 0
    held_tokens: int = 0
    asks_requests: int = 0
    asks_tokens: int = 0
    needs_tokens: int = 0
    refunds: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker says of its slice; the whole of it is binding until the next slice comes.

    It `holds` so many calls at most, would use `wants`, has had `good` calls since its last report, was `throttled`
    under that generation of the limit (none: it was not), and was asked for a `pause` of so many seconds.
    """

    holds: int = 0
    wants: int = 0
    good: int = 0
    throttled: int | None = None
    pause: float = 0.0
    drawn: Drawn = field(default_factory=Drawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A worker's part: `seats` are its own, of which it may use its `share` and gives the rest back as calls end.

    `requests` and `tokens` come on top of what it holds. What it reported as spent was dated `second`.
    """

    seats: int
    share: int
    generation: int = 0
    pause: float = 0.0
    requests: int = 0
    tokens: int = 0
    second: int = 0
