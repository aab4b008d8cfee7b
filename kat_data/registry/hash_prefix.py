"""Content hashes by their first digits, as people copy them: a range, which an index on the hash can look up."""

BETWEEN = "BETWEEN :first AND :last"
"""What a hash that begins so lies in; `hash_range` gives the values."""

_BITS = 256


def hash_range(start: str) -> dict[str, bytes] | None:
    """Return the least and the greatest hash that begins with these hexadecimal digits; none where they are no hash."""
    digits = start.lower()
    if not digits or len(digits) > _BITS // 4 or set(digits) - set("0123456789abcdef"):
        return None
    free = _BITS - 4 * len(digits)
    least = int(digits, 16) << free
    greatest = least + (1 << free) - 1
    return {"first": least.to_bytes(_BITS // 8, "big"), "last": greatest.to_bytes(_BITS // 8, "big")}
