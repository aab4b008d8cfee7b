"""Secrets stay where they are needed: whoever takes one up hides it, and whatever is logged or stored is redacted.

Hidden values are found in every spelling that an error text may use; besides them, what looks like a secret is one.
"""

import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
LEAST = 8  # shorter values are placeholders such as EMPTY; masking them would spoil texts and save nothing

_SHAPES = re.compile(
    r"""
      (?P<label> \b(?:proxy-)?authorization ["']? \s* [:=] \s* ["']? (?:(?:bearer|basic|token)\s+)?
               | \bbearer \s+ (?=[^\s"']{8})
               | \b(?:x-)?api[-_]?key ["']? \s* [:=] \s* ["']?
               | \bpassword ["']? \s* = \s* ["']?
               | ://[^/?\s:@"']{0,64} : (?=[^\s"']{0,256}@) )
      (?P<value> [^\s"'&,;@]+ )
    | \b(?: sk | pk | rk | gsk | xai | hf | ghp )[-_] (?=[\w-]{0,64}\d) [\w-]{16,}
    """,
    re.VERBOSE | re.IGNORECASE,
)

_hidden: set[str] = set()
_known: re.Pattern[str] | None = None
_lock = threading.Lock()


def hide(secret: str | None) -> None:
    """Mask this value from now on, wherever this process writes it; nothing and placeholders are left alone."""
    global _known
    if not secret or len(secret) < LEAST or secret in _hidden:
        return
    with _lock:
        _hidden.add(secret)
        _known = pattern_of(_hidden)


def redact(text: str) -> str:
    """Return `text` with every hidden value, and whatever looks like a secret, as `***`."""
    if _known is not None:
        text = _known.sub(MASK, text)
    return _SHAPES.sub(lambda found: (found["label"] or "") + MASK, text)


def pattern_of(secrets: Iterable[str]) -> re.Pattern[str]:
    """Return what finds these secrets as they are, and as URLs and JSON write them."""
    spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
    return re.compile("|".join(re.escape(one) for one in sorted(spellings, key=len, reverse=True)))


def _spellings(secret: str) -> set[str]:
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
