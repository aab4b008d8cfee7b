"""The part of the Hugging Face Hub's HTTP API that pushing and reading datasets needs, in memory.

Repositories, commits, tags, LFS uploads and downloads; with faults on demand. `HF_ENDPOINT` leads clients here;
`HF_HUB_DISABLE_XET=1` keeps them from the storage that only the Hub has.
"""

import base64
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

import orjson

Place = Literal["create", "info", "preupload", "batch", "upload", "commit", "tag", "tree", "resolve"]
_LARGE = (".parquet", ".png")  # as a new dataset's .gitattributes has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit: the files of the whole tree."""

    oid: str
    message: str
    files: Mapping[str, bytes]


@dataclass(slots=True, kw_only=True)
class Dataset:
    """A dataset repository: the commits of its main branch, and its tags by name."""

    private: bool
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """Return the commit that a branch, a tag or a hash names."""
        oid = self.head.oid if revision == "main" else self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit.oid == oid), None)

    def commit(self, message: str, files: Mapping[str, bytes]) -> Commit:
        """Add a commit to the main branch."""
        oid = sha1(f"{len(self.commits)} {message}".encode(), usedforsecurity=False).hexdigest()
        self.commits.append(Commit(oid=oid, message=message, files=dict(sorted(files.items()))))
        return self.head


class _Refused(Exception):
    """What the client is told instead of an answer."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # clients open many connections at once


class HubServer:
    """The server; `with HubServer() as hub` serves at `hub.url` while the block runs.

    `datasets` are its repositories by name, `stored` the LFS objects by their sha256, `requests` how often each place
    was asked. Only `token`, where one is given, may write, or read what is private.
    """

    def __init__(self, *, token: str | None = None) -> None:
        self.token = token
        self.datasets: dict[str, Dataset] = {}
        self.stored: dict[str, bytes] = {}
        self.requests: defaultdict[str, int] = defaultdict(int)
        self.lock = Lock()
        self._faults: defaultdict[str, deque[int]] = defaultdict(deque)
        self._gates: dict[str, tuple[Event, Event]] = {}
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))

    @property
    def url(self) -> str:
        """Where it is reached: what `HF_ENDPOINT` has to say."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "HubServer":
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for _reached, leave in self._gates.values():
            leave.set()
        self._server.shutdown()
        self._server.server_close()

    def fail_at(self, place: Place, *statuses: int) -> None:
        """Meet the next requests at `place` with these statuses, one each; 0 lets one through."""
        self._faults[place].extend(statuses)

    def hold_at(self, place: Place) -> tuple[Event, Event]:
        """Keep requests at `place` waiting; return an event for the first that came, and one that lets them go."""
        self._gates[place] = (Event(), Event())
        return self._gates[place]

    def pass_through(self, place: Place) -> None:
        """Count a request, hold it where `hold_at` says so, and refuse it where `fail_at` does."""
        with self.lock:
            self.requests[place] += 1
            status = self._faults[place].popleft() if self._faults[place] else 0
        if gate := self._gates.get(place):
            reached, leave = gate
            reached.set()
            leave.wait(60)
        if status:
            raise _Refused(status, "asked to fail")


Answer = tuple[int, bytes, dict[str, str]]
_Route = Callable[["_Handler", re.Match[str]], Answer]
_REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, re.Pattern[str], Place, _Route]] = []


def _route(method: str, pattern: str, place: Place) -> Callable[[_Route], _Route]:
    def add(route: _Route) -> _Route:
        _ROUTES.append((method, re.compile(pattern.replace("REPO", _REPO)), place, route))
        return route

    return add


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[HubServer]

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("GET", head=True)

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""

    def _serve(self, method: str, *, head: bool = False) -> None:
        self.body = self._read_body()
        try:
            status, content, headers = self._answer(method)
        except _Refused as refused:
            content = orjson.dumps({"error": str(refused)})
            status, headers = refused.status, {"X-Error-Message": str(refused), "X-Error-Code": refused.code}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # a client that was killed
            self.end_headers()
            self.wfile.write(b"" if head else content)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, method: str) -> Answer:
        path = unquote(urlsplit(self.path).path)
        for wanted, pattern, place, route in _ROUTES:
            if wanted == method and (match := pattern.fullmatch(path)):
                self.hub.pass_through(place)
                self._admit(write=method != "GET" and place not in {"tree", "upload"})
                return route(self, match)
        raise _Refused(404, f"no such place: {method} {path}")

    def _admit(self, *, write: bool) -> None:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.hub.token is not None and (given or write) and given != self.hub.token:
            raise _Refused(401, "Invalid credentials in Authorization header")

    def dataset(self, match: re.Match[str]) -> Dataset:
        found = self.hub.datasets.get(match["repo"])
        if found is None or (found.private and self.hub.token and not self.headers.get("Authorization")):
            raise _Refused(404, "Repository not found", "RepoNotFound")
        return found

    def commit(self, match: re.Match[str]) -> Commit:
        found = self.dataset(match).at(match["revision"])
        if found is None:
            raise _Refused(404, "Invalid rev id", "RevisionNotFound")
        return found

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


def _said(value: Any) -> Answer:
    return 200, orjson.dumps(value), {"Content-Type": "application/json"}


@_route("POST", "/api/repos/create", "create")
def _create(request: _Handler, _: re.Match[str]) -> Answer:
    asked = request.json()
    name = f"{asked['organization']}/{asked['name']}"
    with request.hub.lock:
        if name in request.hub.datasets:
            raise _Refused(409, "You already created this dataset repo")
        made = request.hub.datasets[name] = Dataset(private=asked.get("visibility") == "private")
        made.commit("initial commit", {".gitattributes": b"*.parquet filter=lfs\n*.png filter=lfs\n"})
    return _said({"url": f"{request.hub.url}/datasets/{name}"})


@_route("GET", "/api/datasets/REPO(?:/revision/(?P<revision>[^/]+))?", "info")
def _info(request: _Handler, match: re.Match[str]) -> Answer:
    dataset = request.dataset(match)
    commit = request.commit(match) if match["revision"] else dataset.head
    files = [{"rfilename": name} for name in commit.files]
    return _said({"id": match["repo"], "sha": commit.oid, "private": dataset.private, "tags": [], "siblings": files})


@_route("GET", "/api/datasets/REPO/refs", "info")
def _refs(request: _Handler, match: re.Match[str]) -> Answer:
    dataset = request.dataset(match)
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": dataset.head.oid}
    tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": oid} for n, oid in dataset.tags.items()]
    return _said({"branches": [main], "converts": [], "tags": tags})


@_route("GET", "/api/datasets/REPO/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?", "tree")
def _tree(request: _Handler, match: re.Match[str]) -> Answer:
    below = f"{match['path'].rstrip('/')}/" if match["path"] else ""
    deep = "recursive=true" in _query(request)
    return _said(list(_entries(request.commit(match), below, deep=deep)))


@_route("POST", "/api/datasets/REPO/paths-info/(?P<revision>[^/]+)", "tree")
def _paths(request: _Handler, match: re.Match[str]) -> Answer:
    wanted = set(request.json()["paths"])
    found = _entries(request.commit(match), "", deep=True)
    return _said([entry for entry in found if entry["path"] in wanted])


@_route("POST", "/api/datasets/REPO/preupload/(?P<revision>[^/]+)", "preupload")
def _preupload(request: _Handler, match: re.Match[str]) -> Answer:
    request.commit(match)
    files = [
        {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(_LARGE) else "regular", "shouldIgnore": False}
        for one in request.json()["files"]
    ]
    return _said({"files": files})


@_route("POST", "/api/validate-yaml", "preupload")
def _validate(request: _Handler, _: re.Match[str]) -> Answer:
    """Refuse a card whose front matter is no mapping; the Hub looks at its fields, too."""
    import yaml

    found = re.match(r"---\n(.*?)\n---\n", request.json()["content"], re.DOTALL)
    sound = found is not None and isinstance(yaml.safe_load(found[1]), dict)
    return _said({"errors": [] if sound else [{"message": "the front matter is no mapping"}], "warnings": []})


@_route("POST", "/datasets/REPO.git/info/lfs/objects/batch", "batch")
def _batch(request: _Handler, match: re.Match[str]) -> Answer:
    request.dataset(match)
    objects = []
    for one in request.json()["objects"]:
        upload = {"upload": {"href": f"{request.hub.url}/lfs/{one['oid']}", "header": {}}}
        objects.append(one if one["oid"] in request.hub.stored else {**one, "actions": upload})
    return _said({"transfer": "basic", "objects": objects})


@_route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", "upload")
def _upload(request: _Handler, match: re.Match[str]) -> Answer:
    if sha256(request.body).hexdigest() != match["oid"]:
        raise _Refused(400, "the content is not that of the oid")
    request.hub.stored[match["oid"]] = request.body
    return 200, b"", {}


@_route("POST", "/api/datasets/REPO/commit/(?P<revision>[^/]+)", "commit")
def _commit(request: _Handler, match: re.Match[str]) -> Answer:
    operations = [orjson.loads(line) for line in request.body.splitlines()]
    with request.hub.lock:
        dataset = request.dataset(match)
        header = operations.pop(0)["value"]
        if header.get("parentCommit") not in {None, dataset.head.oid}:
            raise _Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(dataset.head.files)
        for operation in operations:
            _apply(operation["key"], operation["value"], files, request.hub.stored)
        made = dataset.commit(header["summary"], files)
    url = f"{request.hub.url}/datasets/{match['repo']}/commit/{made.oid}"
    return _said({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


def _apply(kind: str, asked: dict[str, Any], files: dict[str, bytes], stored: Mapping[str, bytes]) -> None:
    if kind == "file":
        files[asked["path"]] = base64.b64decode(asked["content"])
    elif kind == "lfsFile":
        if asked["oid"] not in stored:
            raise _Refused(400, f"the LFS object of {asked['path']} was not uploaded")
        files[asked["path"]] = stored[asked["oid"]]
    elif kind == "deletedFile":
        del files[asked["path"]]


@_route("POST", "/api/datasets/REPO/tag/(?P<revision>[^/]+)", "tag")
def _tag(request: _Handler, match: re.Match[str]) -> Answer:
    dataset, commit, tag = request.dataset(match), request.commit(match), request.json()["tag"]
    if tag in dataset.tags:
        raise _Refused(409, "Tag reference exists already")
    dataset.tags[tag] = commit.oid
    return _said({})


@_route("GET", "/datasets/REPO/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve")
def _resolve(request: _Handler, match: re.Match[str]) -> Answer:
    commit = request.commit(match)
    data = commit.files.get(match["path"])
    if data is None:
        raise _Refused(404, "Entry not found", "EntryNotFound")
    headers = {
        "X-Repo-Commit": commit.oid,
        "ETag": f'"{sha256(data).hexdigest()}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked is None:
        return 200, data, headers
    first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
    return 206, data[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}


def _query(request: _Handler) -> str:
    """Return the request's query in small letters."""
    return urlsplit(request.path).query.lower()


def _entries(commit: Commit, below: str, *, deep: bool) -> Iterator[dict[str, Any]]:
    folders: set[str] = set()
    for path, data in commit.files.items():
        if not path.startswith(below):
            continue
        rest = path.removeprefix(below)
        if "/" in rest:
            folder = below + rest.partition("/")[0]
            if folder not in folders:
                folders.add(folder)
                yield {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            if not deep:
                continue
        entry = {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
        lfs = {"oid": sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        yield entry | ({"lfs": lfs} if path.endswith(_LARGE) else {})


def _blob(data: bytes) -> str:
    return sha1(b"blob %d\x00" % len(data) + data, usedforsecurity=False).hexdigest()
