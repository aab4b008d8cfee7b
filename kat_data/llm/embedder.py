"""The role `embedder`: texts to vectors in batches, through the gateway like every other call."""

from collections.abc import Sequence
from dataclasses import dataclass

from kat_data.domain.call import EmbeddingRequest, Price
from kat_data.domain.query import Message, Role
from kat_data.errors import RequestRejected
from kat_data.llm.gateway import Gateway

_FREE = Price()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """One text's vector as little-endian float16 of unit length, none where the endpoint refuses the text.

    `call` is the ledger key of the call that brought it, empty where none did.
    """

    vector: bytes | None
    call: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """An embedding model bound to its endpoint and price."""

    gateway: Gateway
    endpoint: str
    name: str
    price: Price = _FREE
    revision: str = ""

    async def embed(self, texts: Sequence[str]) -> list[Embedded]:
        """Return the embedding of every text, in order, for one call.

        A batch that the endpoint refuses is halved until the texts that it refuses stand alone.
        """
        request = EmbeddingRequest(
            model=self.name,
            revision=self.revision,
            messages=tuple(Message(role=Role.USER, content=text) for text in texts),
        )
        try:
            reply = await self.gateway.call(self.endpoint, request, price=self.price)
        except RequestRejected:
            if len(texts) == 1:
                return [Embedded(vector=None, call=b"")]
            half = len(texts) // 2
            return [*await self.embed(texts[:half]), *await self.embed(texts[half:])]
        from kat_data.llm.embedding_wire import vectors_of

        return [Embedded(vector=row.tobytes(), call=request.key) for row in vectors_of(reply, len(texts))]
