"""What calls cost: upper bounds before they are made, charges after."""

import orjson

from kat_data.domain.call import CallRequest, Charge, Price, Usage
from kat_data.domain.query import Message

_PER_MESSAGE = 16
_PER_REQUEST = 64


def upper_bound(request: CallRequest, price: Price) -> Charge:
    """Return what `request` can cost at most: a token for every byte sent, what chat templates add, and `max_tokens`.

    Byte-level tokenisers never make more tokens than bytes, in any language, so a cap kept with this bound holds.
    """
    prompt = _PER_REQUEST + sum(_PER_MESSAGE + _size(message.content) + _calls(message) for message in request.messages)
    if request.tools:
        prompt += len(orjson.dumps(request.tools))
    if request.schema is not None:
        prompt += len(orjson.dumps(request.schema))
    return charge(Usage(prompt_tokens=prompt, completion_tokens=request.sampling.max_tokens), price)


def charge(usage: Usage, price: Price) -> Charge:
    """Return the money and tokens of `usage`."""
    return Charge(usd=price.cost(usage), tokens=usage.total)


def _calls(message: Message) -> int:
    """What a message's tool calls add: their JSON, which stands in the body as a text within a text."""
    calls = message.tool_calls
    return 2 * len(orjson.dumps(calls)) + _PER_MESSAGE * len(calls) if calls else 0


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
