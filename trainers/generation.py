"""Replies of a policy: a checkpoint on this machine, or an OpenAI-compatible endpoint."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kat_data.domain.mode import Mode
from kat_data.errors import ConfigError, EndpointFault
from trainers.config import Model
from trainers.examples import Message, plain

_TRIES = 5
_PAUSE = 1.0  # seconds before the second try; each further one waits twice as long


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How replies are drawn; a `temperature` of 0 takes the likeliest token. `batch` prompts are answered at a time."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 2048
    batch: int = 64
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A served policy; `key_env` names the environment's variable that holds its key."""

    url: str
    model: str
    key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Messages and tools in OpenAI's form."""

    messages: Sequence[Message]
    tools: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A reply's text, the tokens that it took, and whether it ended by itself before `max_tokens`.

    `judge_tokens` are those up to the mode tag, which `tokens` count too; none where an endpoint does not tell.
    """

    text: str
    tokens: int
    ended: bool
    judge_tokens: int | None = None


class Policy(Protocol):
    """Answers prompts in order, as they are done."""

    def reply(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Completion]]: ...


class LocalPolicy:
    """A checkpoint, on the accelerator where there is one; prompts of like length share a batch."""

    def __init__(self, model: Model) -> None:
        """Load the checkpoint; raises `ConfigError` where it cannot be loaded."""
        import torch

        from trainers.models import load_model

        self._model, self._tokenizer = load_model(model)
        self._model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer.padding_side = "left"
        self._modes = {self._tokenizer.convert_tokens_to_ids(f"<{mode}>") for mode in Mode}

    def reply(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Completion]]:
        """Yield the replies batch by batch; the same prompts, sampling and machine give the same replies."""
        import torch

        torch.manual_seed(sampling.seed)
        for start in range(0, len(prompts), sampling.batch):
            yield self._batch(prompts[start : start + sampling.batch], sampling)

    def _batch(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        import torch

        texts = [
            self._tokenizer.apply_chat_template(
                [plain(message) for message in prompt.messages],
                tools=list(prompt.tools) or None,
                add_generation_prompt=True,
                tokenize=False,
            )
            for prompt in prompts
        ]
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs = {name: inputs[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
        drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        with torch.inference_mode():
            ids = self._model.generate(
                **inputs,
                max_new_tokens=sampling.max_tokens,
                **(drawn if sampling.temperature > 0 else {"do_sample": False}),
            )[:, inputs["input_ids"].shape[1] :]
        return [self._completion(row) for row in ids.tolist()]

    def _completion(self, ids: list[int]) -> Completion:
        end = self._tokenizer.eos_token_id
        ended = end in ids
        said = ids[: ids.index(end)] if ended else ids
        judged = next((place + 1 for place, token in enumerate(said) if token in self._modes), 0)
        text = self._tokenizer.decode(said)
        return Completion(text=text, tokens=len(said) + ended, ended=ended, judge_tokens=judged)


class ServedPolicy:
    """An endpoint, asked `batch` prompts at a time; passing faults are tried again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def reply(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Completion]]:
        """Yield the replies batch by batch; raises `EndpointFault` where one cannot be had, `ConfigError` on 4xx."""
        loop = asyncio.new_event_loop()
        replies = self._replies(prompts, sampling)
        try:
            while True:
                try:
                    yield loop.run_until_complete(anext(replies))
                except StopAsyncIteration:
                    return
        finally:
            loop.run_until_complete(replies.aclose())
            loop.close()

    async def _replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> "AsyncGenerator[list[Completion]]":
        import aiohttp

        key = os.environ.get(self._endpoint.key_env)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = aiohttp.ClientTimeout(total=self._endpoint.timeout_s)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            for start in range(0, len(prompts), sampling.batch):
                asked = enumerate(prompts[start : start + sampling.batch], start)
                yield list(await asyncio.gather(*(self._ask(session, p, sampling, place) for place, p in asked)))

    async def _ask(self, session: Any, prompt: Prompt, sampling: Sampling, place: int) -> Completion:
        import aiohttp

        body = {
            "model": self._endpoint.model,
            "messages": [plain(message) for message in prompt.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed * 1_000_003 + place,
            **({"tools": list(prompt.tools)} if prompt.tools else {}),
        }
        for tried in range(_TRIES):
            try:
                async with session.post(f"{self._endpoint.url.rstrip('/')}/chat/completions", json=body) as answer:
                    if answer.status < 400:
                        return _completion(await answer.json())
                    if answer.status < 500 and answer.status not in (408, 429):
                        raise ConfigError(f"{self._endpoint.url}: HTTP {answer.status}: {(await answer.text())[:200]}")
            except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
                pass
            await asyncio.sleep(_PAUSE * 2**tried if tried + 1 < _TRIES else 0)
        raise EndpointFault(f"{self._endpoint.url} gave no reply in {_TRIES} tries: start it, and evaluate again")


def _completion(answer: dict[str, Any]) -> Completion:
    choice = answer["choices"][0]
    message = choice["message"]
    asked = [call["function"] for call in message.get("tool_calls") or ()]
    calls = "".join(
        f'\n<tool_call>{{"name": "{call["name"]}", "arguments": {call["arguments"]}}}</tool_call>' for call in asked
    )
    return Completion(
        text=(message.get("content") or "") + calls,
        tokens=answer["usage"]["completion_tokens"],
        ended=choice.get("finish_reason") != "length",
    )
