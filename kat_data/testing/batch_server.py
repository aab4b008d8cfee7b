"""OpenAI's Batch API on the scripted server: files, batches and their contents, with faults on demand."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import orjson
from aiohttp import web

from kat_data.testing.batch_desk import BatchDesk, ServedBatch
from kat_data.testing.faults import Fault, ServerScript
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import ScriptedServer, completion

Place = Literal["upload", "create", "look", "list", "download", "message"]
Handler = Callable[[web.Request], Awaitable[web.Response]]


class BatchServer(ScriptedServer):
    """The scripted server with POST /v1/files, /v1/batches and what belongs to them.

    Rows are answered by the script; a row whose answer is a `Fault` stands in the error file with its status. How
    batches go is planned at `desk`; faults given to `fail_at` meet the next requests at one place.
    """

    def __init__(
        self, script: ServerScript = obedient, *, api_key: str | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(script, api_key=api_key, host=host, port=port)
        self.desk = BatchDesk("batch_")
        self.files: dict[str, bytes] = {}
        self.answers = script
        self._key = api_key
        self._faults_at: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def fail_at(self, place: Place, *faults: Fault) -> None:
        """Meet the next requests at `place` with `faults`, one each."""
        self._faults_at[place].extend(faults)

    def admits(self, request: web.Request) -> bool:
        """Whether the request brings the key."""
        return self._key is None or request.headers.get("Authorization") == f"Bearer {self._key}"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/files", self.at("upload", self._upload))
        router.add_get("/v1/files/{file}/content", self.at("download", self._download))
        router.add_post("/v1/batches", self.at("create", self._create))
        router.add_get("/v1/batches", self.at("list", self._list))
        router.add_get("/v1/batches/{batch}", self.at("look", self._look))

    def at(self, place: Place, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler with the key asked for and the faults of its place before it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if not self.admits(request):
                return refuse(401, "Incorrect API key provided")
            faults = self._faults_at[place]
            if not faults:
                return await handler(request)
            fault = faults.popleft()
            if fault.late:
                await handler(request)
            return await self._misbehave(request, fault)

        return handle

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        upload = form.get("file")
        if form.get("purpose") != "batch" or not isinstance(upload, web.FileField):
            return refuse(400, "a file with the purpose `batch` is needed")
        ident = f"file-{len(self.files) + 1:06d}"
        self.files[ident] = upload.file.read()
        size = len(self.files[ident])
        return show({"id": ident, "object": "file", "bytes": size, "filename": upload.filename, "purpose": "batch"})

    async def _download(self, request: web.Request) -> web.Response:
        content = self.files.get(request.match_info["file"])
        return refuse(404, "No such File object") if content is None else web.Response(body=content)

    async def _create(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        content = self.files.get(body.get("input_file_id"))
        if content is None or body.get("completion_window") != "24h" or body.get("endpoint") != "/v1/chat/completions":
            return refuse(400, "Invalid batch request")
        lines = [orjson.loads(line) for line in content.splitlines()]
        idents = [line["custom_id"] for line in lines]
        models = {line["body"]["model"] for line in lines}
        if len(set(idents)) < len(idents) or len(models) != 1 or len(lines) > 50_000 or len(content) > 200 * 10**6:
            return refuse(
                400, "every custom_id has to be unique, and one batch is for one model, 50,000 rows and 200 MB"
            )
        rows = [(line["custom_id"], line["body"]) for line in lines]
        return show(self._document(self.desk.take(rows, body.get("metadata") or {})))

    async def _look(self, request: web.Request) -> web.Response:
        batch = self.desk.look(request.match_info["batch"])
        return refuse(404, "No batch found") if batch is None else show(self._document(batch))

    async def _list(self, request: web.Request) -> web.Response:
        after, limit = request.query.get("after"), int(request.query.get("limit", 20))
        page, more = self.desk.newest(after=after, limit=min(limit, 100))
        return show({"object": "list", "data": [self._document(batch) for batch in page], "has_more": more})

    def _document(self, batch: ServedBatch) -> dict[str, Any]:
        status = batch.course.end if batch.ended else "in_progress"
        document: dict[str, Any] = {
            "id": batch.ident,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "status": status,
            "created_at": int(batch.created_at),
            "expires_at": int(batch.created_at) + 24 * 3600,
            "metadata": batch.metadata,
            "request_counts": {"total": len(batch.rows), "completed": batch.progress, "failed": 0},
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
        }
        if batch.ended and status == "failed":
            says = {"code": batch.course.code, "message": batch.course.text, "line": None, "param": None}
            document["errors"] = {"object": "list", "data": [says]}
        elif batch.ended:
            document |= self._finished(batch)
        return document

    def _finished(self, batch: ServedBatch) -> dict[str, Any]:
        """Write the files of a batch that has ended, the rows in another order than they came."""
        names = {"output_file_id": f"file-out-{batch.ident}", "error_file_id": f"file-err-{batch.ident}"}
        if not self.files.keys() & set(names.values()):
            rows = [self._row(ident, body) for ident, body in reversed(batch.done)]
            says = {"code": f"batch_{batch.course.end}", "message": "This request could not be executed in time."}
            left = [_line(ident, None, says) for ident, _ in batch.left]
            good = [line for line, answered in rows if answered]
            bad = [line for line, answered in rows if not answered]
            for name, lines in zip(names.values(), (good, bad + left), strict=True):
                if lines:
                    self.files[name] = b"".join(lines)
        return {name: file if file in self.files else None for name, file in names.items()}

    def _row(self, ident: str, body: dict[str, Any]) -> tuple[bytes, bool]:
        answer = self.answers(body)
        if isinstance(answer, Fault):
            error = {"error": {"message": answer.text, "type": "scripted"}}
            return _line(ident, {"status_code": answer.status, "body": error}, None), False
        return _line(ident, {"status_code": 200, "body": completion(body, answer)}, None), True


def _line(ident: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
    row = {"id": f"batch_req_{ident[:8]}", "custom_id": ident, "response": response, "error": error}
    return orjson.dumps(row) + b"\n"


def show(document: Any, status: int = 200) -> web.Response:
    """Answer with a JSON document."""
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")


def refuse(status: int, text: str) -> web.Response:
    """Answer with an error as OpenAI words it."""
    return show({"error": {"message": text, "type": "invalid_request_error"}}, status)
