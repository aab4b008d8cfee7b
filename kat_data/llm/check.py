"""Check an endpoint before a run spends on it.

Does it answer, know the model, follow a schema, give logprobs, and how long may a text be.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import orjson

from kat_data.domain.call import Api, CallRequest, Sampling
from kat_data.domain.query import Message, Role
from kat_data.errors import KatError
from kat_data.llm.client import Client, Transient
from kat_data.llm.reward_wire import read_rewards, reward_body
from kat_data.redaction import hide, redact

_SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}
_NO_SCHEMA = "does not follow a JSON Schema: structured stages will rely on repair"
# Where a good answer holds what was asked for, and what it is called.
_FIRST_OF = {
    "chat/completions": ("choices", "message", "a chat completion"),
    "embeddings": ("data", "embedding", "a list of embeddings"),
}
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "n_ctx", "n_ctx_train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one endpoint says of one model; none means that it does not tell.

    A model is `usable` where it gave an answer; `problem` is one line, empty when all is well.
    """

    endpoint: str
    model: str
    reachable: bool
    usable: bool
    seconds: float | None = None
    listed: bool | None = None
    json_schema: bool | None = None
    logprobs: bool | None = None
    context_length: int | None = None
    problem: str = ""


async def check_model(
    endpoint: str, url: str, model: str, *, api_key: str | None, patience: float = 60.0, api: Api = Api.CHAT
) -> Check:
    """Ask the endpoint for a few tokens of `model`, in three small calls; never raises for what the endpoint does.

    A model of another `api` than chat is asked to score one answer.
    """
    hide(api_key)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    limit = aiohttp.ClientTimeout(total=patience)
    async with aiohttp.ClientSession(headers=headers, timeout=limit) as session:
        base = url.rstrip("/")
        if api is not Api.CHAT:
            return await _check_rewards(session, endpoint, base, model, api)
        start = time.monotonic()
        status, answer = await _post(session, base, {**_question(model), "logprobs": True})
        seconds = time.monotonic() - start
        if status in (400, 422):  # some endpoints refuse logprobs instead of leaving them out
            status, answer = await _post(session, base, _question(model))
        if status != 200:
            return Check(
                endpoint=endpoint,
                model=model,
                reachable=status != 0,
                usable=False,
                problem=_problem(url, status, answer),
            )
        follows = await _follows_schema(session, base, model)
        card = await _model_card(session, base, model)
    return Check(
        endpoint=endpoint,
        model=model,
        reachable=True,
        usable=True,
        seconds=round(seconds, 3),
        listed=card is not None,
        json_schema=follows,
        logprobs=_has_logprobs(answer["choices"][0]),
        context_length=_context_length(card or {}),
        problem="" if follows else _NO_SCHEMA,
    )


async def check_client(endpoint: str, client: Client, model: str) -> Check:
    """Ask for a few tokens of `model` through a provider's client; never raises for what the endpoint does."""
    message = Message(role=Role.USER, content="Answer with the sum of 2 and 3 as JSON.")
    question = CallRequest(model=model, messages=(message,), sampling=Sampling(max_tokens=32))
    start = time.monotonic()
    try:
        await client.complete(question)
        seconds = round(time.monotonic() - start, 3)
        follows = _is_form((await client.complete(replace(question, schema=_SCHEMA))).text)
    except (Transient, KatError) as error:
        reachable = not (isinstance(error, Transient) and error.unreachable)
        return Check(endpoint=endpoint, model=model, reachable=reachable, usable=False, problem=str(error))
    finally:
        await client.close()
    return Check(
        endpoint=endpoint,
        model=model,
        reachable=True,
        usable=True,
        seconds=seconds,
        json_schema=follows,
        problem="" if follows else _NO_SCHEMA,
    )


def _is_form(text: str) -> bool:
    try:
        return "sum" in orjson.loads(text)
    except (TypeError, ValueError):
        return False


async def check_embedder(endpoint: str, url: str, model: str, *, api_key: str | None, patience: float = 60.0) -> Check:
    """Ask the endpoint for one embedding of `model`; never raises for what the endpoint does."""
    hide(api_key)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=patience)) as session:
        base = url.rstrip("/")
        start = time.monotonic()
        status, answer = await _post(session, base, {"model": model, "input": ["a word"]}, path="embeddings")
        seconds = round(time.monotonic() - start, 3)
        if status != 200:
            reachable, problem = status != 0, _problem(url, status, answer)
            return Check(endpoint=endpoint, model=model, reachable=reachable, usable=False, problem=problem)
        card = await _model_card(session, base, model)
    return Check(
        endpoint=endpoint,
        model=model,
        reachable=True,
        usable=True,
        seconds=seconds,
        listed=card is not None,
        context_length=_context_length(card or {}),
    )


def _question(model: str) -> dict[str, Any]:
    message = {"role": "user", "content": "Answer with the sum of 2 and 3 as JSON."}
    return {"model": model, "messages": [message], "max_tokens": 32, "temperature": 0}


async def _check_rewards(session: aiohttp.ClientSession, endpoint: str, base: str, model: str, api: Api) -> Check:
    question = Message(role=Role.USER, content="What is 2 + 3?"), Message(role=Role.ASSISTANT, content="5")
    request = CallRequest(model=model, messages=question, sampling=Sampling(max_tokens=0), api=api)
    start = time.monotonic()
    status, problem = await _score(session, f"{base.removesuffix('/v1')}/{api}", request)
    return Check(
        endpoint=endpoint,
        model=model,
        reachable=status != 0,
        usable=not problem,
        seconds=None if problem else round(time.monotonic() - start, 3),
        listed=await _model_card(session, base, model) is not None if status else None,
        problem=problem,
    )


async def _score(session: aiohttp.ClientSession, target: str, request: CallRequest) -> tuple[int, str]:
    """Return the status, 0 where there was none, and what is wrong with the answer."""
    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(target, data=reward_body(request), headers=headers) as response:
            body = await response.read()
            if response.status != 200:
                says = redact(body[:4096].decode(errors="replace"))[:200]
                return response.status, _problem(target, response.status, says)
            read_rewards(orjson.loads(body), request)
            return 200, ""
    except (TimeoutError, aiohttp.ClientError) as error:
        return 0, _problem(target, 0, getattr(error, "strerror", None) or str(error) or type(error).__name__)
    except ValueError as error:
        return 200, redact(f"{target}: {error}")


async def _follows_schema(session: aiohttp.ClientSession, base: str, model: str) -> bool:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": _SCHEMA}}
    status, answer = await _post(session, base, {**_question(model), "response_format": form})
    if status != 200:
        return False
    try:
        return isinstance(orjson.loads(answer["choices"][0]["message"]["content"])["sum"], int)
    except (KeyError, IndexError, TypeError, ValueError):
        return False


async def _model_card(session: aiohttp.ClientSession, base: str, model: str) -> dict[str, Any] | None:
    try:
        async with session.get(f"{base}/models") as response:
            listed = orjson.loads(await response.read())["data"]
        return next((card for card in listed if isinstance(card, dict) and card.get("id") == model), None)
    except (TimeoutError, aiohttp.ClientError, KeyError, TypeError, ValueError):
        return None


def _has_logprobs(choice: dict[str, Any]) -> bool:
    logprobs = choice.get("logprobs")
    return isinstance(logprobs, dict) and bool(logprobs.get("content"))


def _context_length(card: dict[str, Any]) -> int | None:
    places = (card, card.get("meta"))
    found = (place.get(name) for place in places if isinstance(place, dict) for name in _CONTEXT_FIELDS)
    return next((int(value) for value in found if isinstance(value, int) and value > 0), None)


async def _post(
    session: aiohttp.ClientSession, base: str, body: dict[str, Any], *, path: str = "chat/completions"
) -> tuple[int, Any]:
    """Return status and decoded answer; status 0 and the reason where no usable answer came."""
    first = _FIRST_OF[path]
    try:
        async with session.post(f"{base}/{path}", json=body) as response:
            data = await response.read()
            if response.status != 200:
                return response.status, redact(data[:4096].decode(errors="replace"))[:200]
            answer = orjson.loads(data)
            answer[first[0]][0][first[1]]
            return 200, answer
    except (TimeoutError, aiohttp.ClientError) as error:
        return 0, getattr(error, "strerror", None) or str(error) or type(error).__name__
    except (KeyError, IndexError, TypeError, ValueError):
        return -1, f"its answer is not {first[2]}"


def _problem(url: str, status: int, answer: Any) -> str:
    if status == 0:
        return f"{url} does not answer ({answer}): start it or correct the URL"
    if status in (401, 403):
        return f"{url} refuses the key ({status}): set the variable that `key_env` names"
    if status == 404:
        return redact(f"{url} knows no such model or path (404): {' '.join(str(answer).split())}")
    return redact(f"{url} answers {status}: {' '.join(str(answer).split())}")
