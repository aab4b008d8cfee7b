"""Anthropic's Message Batches API over aiohttp: one body of requests up, one stream of results down."""

import tempfile
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from kat_data.domain.batch import Batch, BatchRow, BatchStatus
from kat_data.domain.call import CallRequest
from kat_data.errors import RequestRejected
from kat_data.llm.anthropic_http import anthropic_endpoint
from kat_data.llm.anthropic_wire import message_body, read_message
from kat_data.llm.batch import Outcome, Unanswered
from kat_data.llm.http import base_url, lines_of, readable

_NO_BATCHES = "it has no Message Batches API: take `mode: batch` from the roles that ask it"
_CLOCK_SKEW = timedelta(hours=1)
_REFUSED = frozenset({"invalid_request_error", "not_found_error", "request_too_large"})


class AnthropicBatches:
    """Satisfies `BatchClient` for Anthropic's message batches.

    They carry nothing of ours but the custom ids of their rows, which can be read once they have ended. So a batch
    whose answer was lost is looked for by its size and time, and taken for ours until its results say otherwise.
    """

    max_requests = 100_000
    max_bytes = 256 * 10**6

    def __init__(
        self, name: str, url: str, *, api_key: str | None = None, key_variable: str | None = None, idle_seconds: float
    ) -> None:
        base = base_url(name, url)
        self.place = f"anthropic {base}"
        self._batches = base / "messages" / "batches"
        self._http = anthropic_endpoint(
            name, url, api_key=api_key, key_variable=key_variable, idle_seconds=idle_seconds
        )

    def line(self, request: CallRequest) -> bytes:
        return f'{{"custom_id":"{request.key.hex()}","params":'.encode() + message_body(request) + b"}"

    async def submit(self, token: str, lines: Sequence[bytes]) -> BatchStatus:
        with tempfile.TemporaryFile() as file:  # sent from the disk: a batch may have 256 MB
            file.write(b'{"requests":[')
            file.writelines(b"," + line if n else line for n, line in enumerate(lines))
            file.write(b"]}")
            file.seek(0)
            return await self._http.ask("POST", self._batches, _status, file, missing=_NO_BATCHES)

    async def find(self, batch: Batch, wanted: Mapping[bytes, BatchRow], known: Collection[str]) -> BatchStatus | None:
        found: BatchStatus | None = None
        url = self._batches.with_query(limit=100)
        while True:
            page = await self._http.ask("GET", url, _page, missing=_NO_BATCHES)
            for each in page.batches:
                if each.created_at < batch.created_at - _CLOCK_SKEW:
                    return found
                if each.size == batch.size and each.status.ident not in known and await self._may_be(each, wanted):
                    found = each.status  # the list goes back in time: the oldest is the nearest to ours
            if page.after is None:
                return found
            url = url.update_query(after_id=page.after)

    async def look(self, ident: str) -> BatchStatus:
        return await self._http.ask("GET", self._batches / ident, _status, missing=_NO_BATCHES)

    async def results(
        self, status: BatchStatus, wanted: Mapping[bytes, BatchRow]
    ) -> AsyncGenerator[tuple[bytes, Outcome], None]:
        for ident in status.results:
            async with self._http.exchange("GET", self._batches / ident / "results") as response:
                async for line in lines_of(response):
                    if (row := _row(orjson.loads(line), wanted)) is not None:
                        yield row

    async def close(self) -> None:
        await self._http.close()

    async def _may_be(self, listed: "_Listed", wanted: Mapping[bytes, BatchRow]) -> bool:
        """Whether a batch of our size can be ours: an ended one tells by its first row."""
        for ident in listed.status.results:
            async with self._http.exchange("GET", self._batches / ident / "results") as response:
                async for line in lines_of(response):
                    return _row(orjson.loads(line), wanted) is not None
        return True


@dataclass(frozen=True, slots=True)
class _Listed:
    status: BatchStatus
    size: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Page:
    batches: list[_Listed]
    after: str | None


@readable
def _page(raw: Any) -> _Page:
    listed = [
        _Listed(_status(each), sum(each["request_counts"].values()), datetime.fromisoformat(each["created_at"]))
        for each in raw["data"]
    ]
    return _Page(listed, raw["last_id"] if raw["has_more"] else None)


@readable
def _status(raw: Any) -> BatchStatus:
    counts = raw["request_counts"]
    ended = raw["processing_status"] == "ended"
    return BatchStatus(
        ident=raw["id"],
        word=_word(counts) if ended else raw["processing_status"],
        ended=ended,
        done=sum(counts.values()) - counts["processing"],
        expires_at=datetime.fromisoformat(raw["expires_at"]),
        results=(raw["id"],) if ended else (),
    )


def _word(counts: Mapping[str, int]) -> str:
    return next((word for word in ("expired", "canceled") if counts.get(word)), "ended")


@readable
def _row(raw: Any, wanted: Mapping[bytes, BatchRow]) -> tuple[bytes, Outcome] | None:
    """Read one line of the results; none where nobody waits for it."""
    try:
        key = bytes.fromhex(raw["custom_id"])
    except ValueError:  # somebody else's
        return None
    known = wanted.get(key)
    return None if known is None else (key, _outcome(raw["result"], known.request))


def _outcome(result: dict[str, Any], request: CallRequest) -> Outcome:
    if result["type"] == "succeeded":
        try:
            return read_message(result["message"], request)
        except ValueError as error:
            return Unanswered(reason=f"a row that cannot be read: {error}", maybe_paid=True)
    if result["type"] != "errored":  # expired, canceled
        return Unanswered(reason=f"the row is {result['type']}")
    problem = result["error"].get("error", result["error"])
    says = f"{problem['type']}: {problem['message']}"
    if problem["type"] in _REFUSED:
        return RequestRejected(f"the batch's endpoint rejects the request ({says})")
    return Unanswered(reason=says)
