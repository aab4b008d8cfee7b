"""OpenAI's Batch API over aiohttp: a file of requests up, a batch of it, files of replies and errors down."""

import tempfile
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson

from kat_data.domain.batch import Batch, BatchRow, BatchStatus
from kat_data.domain.call import CallRequest
from kat_data.errors import RequestRejected
from kat_data.llm.batch import Outcome, Unanswered
from kat_data.llm.http import HttpEndpoint, base_url, lines_of, readable
from kat_data.llm.openai_wire import read_reply, request_body
from kat_data.llm.status import PASSING

_NO_BATCHES = "it has no Batch API: take `mode: batch` from the roles that ask it"
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_CROWDED = "token_limit_exceeded"
_TOKEN = "kat_batch"  # noqa: S105 (the name of a field)
_CLOCK_SKEW = timedelta(hours=1)


class OpenAIBatches:
    """Satisfies `BatchClient` for OpenAI's files and batches.

    A batch carries our token as metadata, so that one whose answer was lost is found again in the list.
    """

    max_requests = 50_000
    max_bytes = 200 * 10**6

    def __init__(
        self, name: str, url: str, *, api_key: str | None = None, key_variable: str | None = None, idle_seconds: float
    ) -> None:
        self.place = f"openai {base_url(name, url)}"
        self._base = base_url(name, url)
        self._http = HttpEndpoint(name, url, api_key=api_key, key_variable=key_variable, idle_seconds=idle_seconds)
        self._files: dict[str, str] = {}

    def line(self, request: CallRequest) -> bytes:
        head = f'{{"custom_id":"{request.key.hex()}","method":"POST","url":"/v1/chat/completions","body":'
        return head.encode() + request_body(request) + b"}\n"

    async def submit(self, token: str, lines: Sequence[bytes]) -> BatchStatus:
        if token not in self._files:  # a file is uploaded once, however often its batch is tried
            self._files[token] = await self._upload(token, lines)
        body = {
            "input_file_id": self._files[token],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {_TOKEN: token},
        }
        status = await self._http.ask("POST", self._base / "batches", _status, orjson.dumps(body), missing=_NO_BATCHES)
        del self._files[token]
        return status

    async def find(self, batch: Batch, wanted: Mapping[bytes, BatchRow], known: Collection[str]) -> BatchStatus | None:
        url = (self._base / "batches").with_query(limit=100)
        while True:
            page = await self._http.ask("GET", url, _page, missing=_NO_BATCHES)
            for token, status in page.batches:
                if token == batch.token:
                    return status
            if page.after is None or page.oldest < batch.created_at - _CLOCK_SKEW:
                return None
            url = url.update_query(after=page.after)

    async def look(self, ident: str) -> BatchStatus:
        return await self._http.ask("GET", self._base / "batches" / ident, _status, missing=_NO_BATCHES)

    async def results(
        self, status: BatchStatus, wanted: Mapping[bytes, BatchRow]
    ) -> AsyncGenerator[tuple[bytes, Outcome], None]:
        for file in status.results:
            async with self._http.exchange("GET", self._base / "files" / file / "content") as response:
                async for line in lines_of(response):
                    if (row := _row(orjson.loads(line), wanted)) is not None:
                        yield row

    async def close(self) -> None:
        await self._http.close()

    async def _upload(self, token: str, lines: Sequence[bytes]) -> str:
        with tempfile.TemporaryFile() as file:  # sent from the disk: a batch may have 200 MB
            file.writelines(lines)
            file.seek(0)
            form = aiohttp.FormData({"purpose": "batch"})
            form.add_field("file", file, filename=f"kat-{token}.jsonl", content_type="application/jsonl")
            return await self._http.ask("POST", self._base / "files", _file, form, missing=_NO_BATCHES)


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of the list of batches: each with our token, where it has one; `after` leads to the next page."""

    batches: list[tuple[str | None, BatchStatus]]
    oldest: datetime
    after: str | None


@readable
def _page(raw: Any) -> _Page:
    data = raw["data"]
    return _Page(
        [((each.get("metadata") or {}).get(_TOKEN), _status(each)) for each in data],
        _moment(data[-1]["created_at"]) if data else datetime.min.replace(tzinfo=UTC),
        data[-1]["id"] if data and raw.get("has_more") else None,
    )


@readable
def _file(raw: Any) -> str:
    return str(raw["id"])


@readable
def _status(raw: dict[str, Any]) -> BatchStatus:
    counts = raw.get("request_counts") or {}
    refused, crowded = _refusal(raw) if raw["status"] == "failed" else ("", False)
    return BatchStatus(
        ident=raw["id"],
        word=raw["status"],
        ended=raw["status"] in _ENDED,
        done=counts.get("completed", 0) + counts.get("failed", 0),
        expires_at=_moment(raw["expires_at"]) if raw.get("expires_at") else None,
        results=tuple(file for name in ("output_file_id", "error_file_id") if (file := raw.get(name))),
        refused=refused,
        crowded=crowded,
    )


def _refusal(raw: dict[str, Any]) -> tuple[str, bool]:
    errors = (raw.get("errors") or {}).get("data") or [{}]
    says = errors[0].get("message") or "it does not say why"
    return f"the provider failed batch {raw['id']}: {says}", errors[0].get("code") == _CROWDED


@readable
def _row(raw: Any, wanted: Mapping[bytes, BatchRow]) -> tuple[bytes, Outcome] | None:
    """Read one line of an output or error file; none where nobody waits for it."""
    key = bytes.fromhex(raw["custom_id"])
    known = wanted.get(key)
    return None if known is None else (key, _outcome(raw, known.request))


def _outcome(row: dict[str, Any], request: CallRequest) -> Outcome:
    if fault := row.get("error"):
        return Unanswered(reason=f"{fault.get('code')}: {fault.get('message')}")
    response = row["response"]
    if response["status_code"] == 200:
        try:
            return read_reply(response["body"], request)
        except ValueError as error:
            return Unanswered(reason=f"a row that cannot be read: {error}", maybe_paid=True)
    status, body = response["status_code"], response.get("body")
    problem = body.get("error", body) if isinstance(body, dict) else body
    says = problem.get("message") if isinstance(problem, dict) else problem
    if status in PASSING or status >= 500:
        return Unanswered(reason=f"HTTP {status} in a batch: {says}")
    return RequestRejected(f"the batch's endpoint rejects the request (HTTP {status}: {says})")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
