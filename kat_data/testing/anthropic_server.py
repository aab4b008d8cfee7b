"""Anthropic's Messages and Message Batches APIs, answered by the scripts of the scripted server."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from kat_data.domain.call import FinishReason, Reply
from kat_data.testing.batch_desk import BatchDesk, ServedBatch
from kat_data.testing.batch_server import BatchServer, show
from kat_data.testing.faults import Fault, ServerScript
from kat_data.testing.obedient import obedient

_STOP = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
_TYPES = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}


class AnthropicServer(BatchServer):
    """Serves POST /v1/messages and /v1/messages/batches with what belongs to it, beside what its base serves.

    Scripts see a request as OpenAI would be sent it. Faults given to `fail_at` meet requests at `create`, `look`,
    `list` and `download`.
    """

    def __init__(self, script: ServerScript = obedient, *, api_key: str | None = None, port: int = 0) -> None:
        super().__init__(script, api_key=api_key, port=port)
        self.desk = BatchDesk("msgbatch_")
        self._own_key = api_key
        self._ended: dict[str, list[tuple[str, dict[str, Any]]]] = {}

    def admits(self, request: web.Request) -> bool:
        return self._own_key is None or request.headers.get("x-api-key") == self._own_key

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/messages", self.at("message", self._message))
        router.add_post("/v1/messages/batches", self.at("create", self._hand_in))
        router.add_get("/v1/messages/batches", self.at("list", self._page))
        router.add_get("/v1/messages/batches/{batch}", self.at("look", self._show))
        router.add_get("/v1/messages/batches/{batch}/results", self.at("download", self._results))

    async def _message(self, request: web.Request) -> web.Response:
        if "anthropic-version" not in request.headers:
            return _error(400, "anthropic-version: header is required")
        body = orjson.loads(await request.read())
        self.statistics.requests += 1
        if problem := _problem(body):
            return _error(400, problem)
        answer = self.answers(as_openai(body))
        return _error(answer.status, answer.text) if isinstance(answer, Fault) else show(_document(body, answer))

    async def _hand_in(self, request: web.Request) -> web.Response:
        rows = [(each["custom_id"], each["params"]) for each in orjson.loads(await request.read())["requests"]]
        idents = {ident for ident, _ in rows}
        if len(idents) < len(rows) or not rows or len(rows) > 100_000 or max(map(len, idents)) > 64:
            return _error(400, "requests: 1 to 100,000, each custom_id once and of 64 characters at most")
        return show(self._batch(self.desk.take(rows)))

    async def _show(self, request: web.Request) -> web.Response:
        batch = self.desk.look(request.match_info["batch"])
        return _error(404, "Not found") if batch is None else show(self._batch(batch))

    async def _page(self, request: web.Request) -> web.Response:
        after, limit = request.query.get("after_id"), int(request.query.get("limit", 20))
        page, more = self.desk.newest(after=after, limit=limit)
        ends = {"first_id": page[0].ident, "last_id": page[-1].ident} if page else {"first_id": None, "last_id": None}
        return show({"data": [self._batch(batch) for batch in page], "has_more": more, **ends})

    async def _results(self, request: web.Request) -> web.Response:
        batch = self.desk.batches.get(request.match_info["batch"])
        if batch is None or not batch.ended:
            return _error(404, "Not found")
        lines = [orjson.dumps({"custom_id": ident, "result": result}) for ident, result in self._outcomes(batch)]
        return web.Response(body=b"\n".join(lines), content_type="application/x-jsonl")

    def _batch(self, batch: ServedBatch) -> dict[str, Any]:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        counts |= {"succeeded": batch.progress, "processing": len(batch.rows) - batch.progress}
        if batch.ended:
            counts = dict.fromkeys(counts, 0) | Counter(result["type"] for _, result in self._outcomes(batch))
        created = datetime.fromtimestamp(batch.created_at, UTC)
        return {
            "id": batch.ident,
            "type": "message_batch",
            "processing_status": "ended" if batch.ended else "in_progress",
            "request_counts": counts,
            "created_at": created.isoformat(),
            "expires_at": (created + timedelta(days=1)).isoformat(),
            "results_url": f"{self.url}/messages/batches/{batch.ident}/results" if batch.ended else None,
        }

    def _outcomes(self, batch: ServedBatch) -> list[tuple[str, dict[str, Any]]]:
        """Return the rows of an ended batch in another order than they came, each asked of the script once."""
        if batch.ident not in self._ended:
            done = [(ident, self._result(body)) for ident, body in reversed(batch.done)]
            self._ended[batch.ident] = [*done, *((ident, {"type": _left(batch)}) for ident, _ in batch.left)]
        return self._ended[batch.ident]

    def _result(self, body: dict[str, Any]) -> dict[str, Any]:
        if problem := _problem(body):
            return {"type": "errored", "error": _says(400, problem)}
        answer = self.answers(as_openai(body))
        if isinstance(answer, Fault):
            return {"type": "errored", "error": _says(answer.status, answer.text)}
        return {"type": "succeeded", "message": _document(body, answer)}


def as_openai(body: dict[str, Any]) -> dict[str, Any]:
    """Return a Messages body as scripts expect it: what OpenAI would be sent for the same request."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    for turn in body["messages"]:
        if isinstance(turn["content"], str):
            messages.append({"role": turn["role"], "content": turn["content"]})
            continue
        texts = [block["text"] for block in turn["content"] if block["type"] == "text"]
        results = [block["content"] for block in turn["content"] if block["type"] == "tool_result"]
        messages += [{"role": "tool", "content": content} for content in results]
        if not results:
            messages.append({"role": turn["role"], "content": "".join(texts)})
    made: dict[str, Any] = {"model": body["model"], "max_tokens": body["max_tokens"], "messages": messages}
    tools = body.get("tools") or []
    if body.get("tool_choice", {}).get("type") == "tool":
        schema = {"name": tools[0]["name"], "strict": True, "schema": tools[0]["input_schema"]}
        return made | {"response_format": {"type": "json_schema", "json_schema": schema}}
    functions = [{"name": tool["name"], "parameters": tool["input_schema"]} for tool in tools]
    return made | ({"tools": [{"type": "function", "function": each} for each in functions]} if functions else {})


def _problem(body: dict[str, Any]) -> str:
    """Say what Anthropic would refuse of a body; nothing where it would not."""
    if not {"model", "max_tokens", "messages"} <= body.keys():
        return "model, max_tokens and messages are required"
    if any(turn["role"] not in {"user", "assistant"} for turn in body["messages"]):
        return "messages: roles are `user` and `assistant`"
    if not body["messages"] or body["messages"][0]["role"] != "user":
        return "messages: the first is of the user"
    return "temperature: 0 to 1" if not 0 <= body.get("temperature", 1) <= 1 else ""


def _document(body: dict[str, Any], answer: Reply | str) -> dict[str, Any]:
    reply = Reply(text=answer, finish_reason=FinishReason.STOP) if isinstance(answer, str) else answer
    content: list[dict[str, Any]] = []
    if reply.reasoning:
        content.append({"type": "thinking", "thinking": reply.reasoning, "signature": "scripted"})
    if body.get("tool_choice", {}).get("type") == "tool":
        content.append({"type": "tool_use", "id": "toolu_0", "name": "reply", "input": _form(reply.text)})
    elif reply.text:
        content.append({"type": "text", "text": reply.text})
    calls = enumerate(reply.tool_calls, 1)
    content += [{"type": "tool_use", "id": f"toolu_{n}", "name": c.name, "input": c.arguments} for n, c in calls]
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": _STOP.get(reply.finish_reason, "end_turn"),
        "usage": {"input_tokens": reply.usage.prompt_tokens, "output_tokens": reply.usage.completion_tokens},
    }


def _form(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return {"text": text}


def _left(batch: ServedBatch) -> str:
    return "canceled" if batch.course.end == "cancelled" else "expired"


def _says(status: int, text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": _TYPES.get(status, "api_error"), "message": text}}


def _error(status: int, text: str) -> web.Response:
    return show(_says(status, text), status)
