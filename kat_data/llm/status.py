"""What an endpoint's HTTP statuses, headers and error texts mean, whichever client hears them."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kat_data.redaction import MASK, redact

PASSING = frozenset({408, 409, 425, 429})
THROTTLED = frozenset({429, 503, 529})
# A gateway that gave up waiting says nothing of whether the model behind it finished, and charged.
MAYBE_PAID = frozenset({504, 524})
REJECTED = frozenset({400, 413, 422})

_ERROR_CHARS = 200


def retry_after(value: str, now: datetime) -> float | None:
    """Read Retry-After, seconds or an HTTP date, as seconds from now; none where it says neither."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def short(text: str, key: str | None) -> str:
    """Return the beginning of an error text in one line, without the endpoint's key or anything like one."""
    text = text.replace(key, MASK) if key else text
    return " ".join(redact(text).split())[:_ERROR_CHARS]


def _seconds_until(date: str, now: datetime) -> float:
    try:
        return (parsedate_to_datetime(date).replace(tzinfo=UTC) - now).total_seconds()
    except ValueError:
        return math.nan
