"""The OpenAI embeddings format: texts as a body, a body as a reply that holds its vectors compactly; no network here.

A reply's text is the vectors as base64 of little-endian float16, each of unit length: a fifth of what JSON would take,
and as much as cosines need.
"""

import base64
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from kat_data.domain.call import CallRequest, EmbeddingRequest, FinishReason, Reply, Usage

Vectors = NDArray[np.float16]
_CHARS_PER_TOKEN = 4


def embedding_body(request: EmbeddingRequest) -> bytes:
    """Serialise `request` as the body of POST /embeddings."""
    return orjson.dumps({"model": request.model, "input": [message.content for message in request.messages]})


def read_embeddings(document: Any, request: CallRequest) -> Reply:
    """Read a decoded response body; raises `ValueError` where it does not hold one vector for each text."""
    try:
        items = sorted(document["data"], key=lambda item: int(item["index"]))
        vectors = np.array([item["embedding"] for item in items], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("the body is no list of embeddings") from error
    if vectors.ndim != 2 or len(vectors) != len(request.messages) or not vectors.shape[1]:
        raise ValueError(f"{len(request.messages)} texts got embeddings of the shape {vectors.shape}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError("an embedding has no direction")
    packed = (vectors / lengths).astype("<f2").tobytes()
    return Reply(
        text=base64.b64encode(packed).decode(),
        finish_reason=FinishReason.STOP,
        usage=_usage(document.get("usage"), request),
    )


def vectors_of(reply: Reply, texts: int) -> Vectors:
    """Return the vectors of a reply, one row for each of its `texts`."""
    flat = np.frombuffer(base64.b64decode(reply.text), dtype="<f2")
    return flat.reshape(texts, -1)


def _usage(raw: Any, request: CallRequest) -> Usage:
    try:
        return Usage(prompt_tokens=int(raw["prompt_tokens"]))
    except (KeyError, TypeError, ValueError):
        sent = sum(len(message.content) for message in request.messages)
        return Usage(prompt_tokens=-(-sent // _CHARS_PER_TOKEN), estimated=True)
