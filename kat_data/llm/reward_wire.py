"""Reward models as vLLM and its like serve them: a conversation in, numbers out; no network here.

`classify` and `pooling` take messages, which the server puts into the model's own chat template; `score` takes two
texts. A reply's text is the JSON list of the raw numbers.
"""

import math
from typing import Any

import orjson

from kat_data.domain.call import Api, CallRequest, FinishReason, Reply, Usage
from kat_data.domain.query import Message, Role
from kat_data.llm.openai_wire import wire_messages

_CHARS_PER_TOKEN = 4


def reward_body(request: CallRequest) -> bytes:
    """Serialise `request`, whose last message is the answer to score, as the body of its API."""
    body: dict[str, Any] = {"model": request.model}
    match request.api:
        case Api.SCORE:
            *asked, answer = request.messages
            body |= {"text_1": _as_text(asked), "text_2": answer.content}
        case Api.POOLING:
            # Raw rewards: whether a server squashes them by itself hangs on its version.
            body |= {
                "messages": wire_messages(request.messages),
                "add_generation_prompt": False,
                "use_activation": False,
            }
        case _:
            body |= {"messages": wire_messages(request.messages), "add_generation_prompt": False}
    return orjson.dumps(body)


def read_rewards(document: Any, request: CallRequest) -> Reply:
    """Read a decoded body as a reply; raises `ValueError` where it holds no finite numbers."""
    field = {Api.CLASSIFY: "probs", Api.SCORE: "score", Api.POOLING: "data"}[request.api]
    try:
        values = _numbers(document["data"][0][field])
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"the body is no answer of the {request.api} API") from error
    return Reply(text=orjson.dumps(values).decode(), finish_reason=FinishReason.STOP, usage=_usage(document, request))


def unit_rewards(reply: Reply, api: Api) -> list[float]:
    """Return the numbers of a reply from 0 to 1: raw rewards go through the logistic function, shares are as given."""
    values: list[float] = orjson.loads(reply.text)
    if api is Api.POOLING:
        return [_logistic(value) for value in values]
    return [min(max(value, 0.0), 1.0) for value in values]


def _numbers(value: Any) -> list[float]:
    """A model that rewards every token says of the last one what it thinks of the whole."""
    if isinstance(value, list) and value and isinstance(value[-1], list):
        return _numbers(value[-1])
    values = [float(number) for number in (value if isinstance(value, list) else [value])]
    if not values or not all(map(math.isfinite, values)):
        raise ValueError("the rewards are no finite numbers")
    return values


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def _as_text(messages: list[Message]) -> str:
    """A lone question stands as it is; a conversation is written with its speakers."""
    if len(messages) == 1 and messages[0].role is Role.USER:
        return messages[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)


def _usage(document: dict[str, Any], request: CallRequest) -> Usage:
    try:
        return Usage(prompt_tokens=int(document["usage"]["prompt_tokens"]))
    except (KeyError, TypeError, ValueError):
        asked = sum(len(message.content) for message in request.messages)
        return Usage(prompt_tokens=-(-asked // _CHARS_PER_TOKEN), estimated=True)
