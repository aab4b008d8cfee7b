"""Embeddings without a model: hashed bags of words, in which similar texts really are near."""

import hashlib
import math
import re

_WORD = re.compile(r"\w+")


def bag_of_words(text: str, dimension: int = 256) -> list[float]:
    """Return a unit vector of the text's words, each counted at a place of its own by hash; order does not matter."""
    vector = [0.0] * dimension
    for word in _WORD.findall(text.casefold()) or [text]:
        digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
        vector[int.from_bytes(digest[:4], "big") % dimension] += 1.0 if digest[4] % 2 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    if not length:  # words that cancel each other out
        return [1.0] + [0.0] * (dimension - 1)
    return [value / length for value in vector]
