"""A client for providers that are not OpenAI-compatible, through litellm (the optional extra `litellm`).

It costs several times what our own clients cost (docs/batch.md has the figures), so that they serve what they can.
"""

import asyncio
import importlib
import importlib.util
import os
from typing import Any

from kat_data.clock import Clock, SystemClock
from kat_data.domain.call import Api, CallRequest, Reply
from kat_data.errors import EndpointRefused, RecipeError, RequestRejected
from kat_data.llm.client import Transient
from kat_data.llm.http import check_key
from kat_data.llm.openai_wire import chat_fields, read_reply
from kat_data.llm.status import MAYBE_PAID, REJECTED, THROTTLED, retry_after, short
from kat_data.redaction import hide

_REFUSED = frozenset({"AuthenticationError", "PermissionDeniedError", "NotFoundError", "LiteLLMUnknownProvider"})
_NOBODY_THERE = frozenset({"ConnectError", "ConnectionRefusedError", "ClientConnectorError", "ClientConnectorDNSError"})


def check_installed(name: str) -> None:
    """Raise `RecipeError` where the extra that endpoint `name` needs is not installed."""
    if importlib.util.find_spec("litellm") is None:
        raise RecipeError(f"endpoint `{name}` needs litellm: install it with `pip install 'kat-data[litellm]'`")


class LitellmClient:
    """Sends each request once through `litellm.acompletion`; `seconds` bound the whole answer.

    The model is named as litellm does, with its provider before it. litellm is imported with the first call, off the
    event loop. Raises `RecipeError` where the extra is not installed.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str | None = None,
        api_key: str | None,
        key_variable: str | None,
        seconds: float,
        clock: Clock | None = None,
    ) -> None:
        check_installed(name)
        check_key(name, api_key, key_variable)
        self._name = name
        self._url = url
        self._api_key = api_key
        hide(api_key)
        self._key_variable = key_variable
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._loading: asyncio.Task[Any] | None = None

    async def complete(self, request: CallRequest) -> Reply:
        if request.api is not Api.CHAT:
            raise EndpointRefused(f"endpoint {self._name}: litellm is asked for chats alone, and not for {request.api}")
        litellm = await self._litellm()
        try:
            response = await litellm.acompletion(
                **chat_fields(request),
                api_key=self._api_key,
                api_base=self._url,
                timeout=self._seconds,
                num_retries=0,
                max_retries=0,
            )
        except Exception as error:  # litellm's own, and whatever escapes it
            raise self._translated(error) from error
        try:
            return read_reply(response.model_dump(warnings=False), request)
        except ValueError as error:
            raise Transient(f"endpoint {self._name} sent what cannot be read: {error}", maybe_paid=True) from error

    async def close(self) -> None:
        """Leave litellm's connections open: they are shared by all its callers, and it closes them with the process."""

    async def _litellm(self) -> Any:
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(_load))
        return await asyncio.shield(self._loading)

    def _translated(self, error: Exception) -> Exception:
        """Return what litellm's error means to the gateway."""
        kind, status, says = type(error).__name__, getattr(error, "status_code", None), short(str(error), self._api_key)
        where = f"endpoint {self._name} (litellm)"
        if kind in {"AuthenticationError", "PermissionDeniedError"}:
            advice = f"set {self._key_variable} to a valid key" if self._key_variable else "name its key as `key_env`"
            return EndpointRefused(f"{where} refuses the key ({kind}): {advice}")
        if kind == "UnsupportedParamsError":
            return EndpointRefused(f"{where} does not take a parameter ({says}): perhaps set `send_seed: false`")
        if kind in _REFUSED or "LLM Provider NOT provided" in says:
            return EndpointRefused(f"{where} has no such model ({says}): name it as litellm does, provider/model")
        if status in REJECTED:
            return RequestRejected(f"{where} rejects the request ({says})")
        if kind == "Timeout":
            return Transient(f"{where} did not answer within {self._seconds:g} s", maybe_paid=True)
        headers = getattr(error, "litellm_response_headers", None)  # none where no response came
        unreachable = bool(_NOBODY_THERE & {type(cause).__name__ for cause in _causes(error)})
        return Transient(
            f"{where} failed ({kind}: {says})",
            retry_after=retry_after((headers or {}).get("retry-after") or "", self._clock.now()),
            throttled=status in THROTTLED,
            unreachable=unreachable,
            maybe_paid=not unreachable and (headers is None or status in MAYBE_PAID),
        )


def _load() -> Any:
    """Import litellm without its look at the network, and silence what it says beside its answers."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.num_retries = 0
    return litellm


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
