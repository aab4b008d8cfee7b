"""An API key that the endpoint throws back in every way turns up nowhere: logs, registry, snapshot, metrics."""

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from kat_data.domain.call import Reply
from kat_data.logs import configure
from kat_data.registry.session import Registry
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import Fault, ScriptedServer

pytestmark = pytest.mark.integration

# Signs that URLs and JSON write otherwise, and no shape that gives it away.
SECRET = 'kq7/Zp+W9&xY="3vT'
SPELLINGS = {SECRET, quote(SECRET), quote(SECRET, safe=""), orjson.dumps(SECRET).decode()[1:-1]}
ECHO = f"the key {SECRET} ({quote(SECRET, safe='')}) in 'Authorization: Bearer {SECRET}' is over its quota"


def faults() -> Callable[[dict[str, Any]], Reply | Fault]:
    """Meet every request with some fault at first, some for ever; each quotes the key."""
    kinds = (
        Fault(status=500, text=ECHO),
        Fault(status=429, text=ECHO, headers={"Retry-After": "0"}),
        Fault(status=503, text=ECHO),
        Fault(kind="hang"),
        Fault(kind="drop"),
        Fault(kind="malformed"),
        Fault(status=504, text="<b>" + "x " * 2040 + ECHO + "</b>"),
    )
    seen: Counter[bytes] = Counter()

    def script(body: dict[str, Any]) -> Reply | Fault:
        digest = hashlib.sha256(orjson.dumps(body)).digest()
        seen[digest] += 1
        if digest[0] % 8 == 0:
            return Fault(status=500, text=ECHO)
        if digest[0] % 8 == 1:
            return Fault(status=400, text=ECHO)
        if seen[digest] == 1:
            return kinds[digest[1] % len(kinds)]
        reply = obedient(body)
        if "response_format" not in body:
            return Reply(text=f"{reply.text}\n{SECRET}", finish_reason=reply.finish_reason, usage=reply.usage)
        return reply

    return script


def written(folder: Path) -> list[str]:
    return [path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()]


def leaks_in(texts: list[str]) -> list[str]:
    return [text for text in texts if any(spelling in text for spelling in SPELLINGS)]


@pytest.fixture
def found(registry: Registry) -> Callable[[], list[str]]:
    """Say in which rows of which tables the secret stands, in any spelling."""

    def look() -> list[str]:
        places = []
        with registry.connection(autocommit=True) as connection:
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (name,) in names:
                rows = connection.execute(f"SELECT t::text FROM {name} AS t").fetchall()
                places += leaks_in([f"{name}: {row}" for (row,) in rows])
        return places

    return look


@pytest.fixture
def environ(registry: Registry, kat: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log everything, measure everything, and have the key where the recipe looks for it."""
    monkeypatch.setenv("KAT_LOG", "json")
    monkeypatch.setenv("KAT_LOG_LEVEL", "debug")
    monkeypatch.setenv("KAT_METRICS_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setenv("SCRIPTED_KEY", SECRET)
    yield
    configure("off")


async def run_recipe(recipe: Path) -> tuple[int, str]:
    """Run a recipe in a process of its own; return its exit code and all that it printed."""
    command = ("-m", "kat_data.cli.main", "run", str(recipe))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_a_key_that_is_thrown_back(
    environ: None,
    kat: Any,
    questions: Path,
    write_recipe: Callable[..., Path],
    found: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    said: list[str] = []

    async def shell(*arguments: object, code: int = 0) -> None:
        printed = await asyncio.to_thread(kat, *arguments, code=code)
        said.extend((printed.out, printed.err))

    await shell("queries", "import", questions, "--preset", "gsm8k", "--source", "sums", "--licence", "MIT")
    async with ScriptedServer(api_key="another") as server:
        recipe = write_recipe(server.url, attempts=1)
        keyed = recipe.read_text().replace("retries: 0", "retries: 1\n    timeout: 0.5\n    key_env: SCRIPTED_KEY")
        recipe.write_text(keyed)
        code, refused = await run_recipe(recipe)
        assert code == 3
        assert "refuses the key" in refused
        before = server.url
    async with ScriptedServer(faults(), api_key=SECRET) as server:
        recipe.write_text(keyed.replace(before, server.url))
        code, logged = await run_recipe(recipe)
        assert code == 0, logged
        await shell("models", "check", recipe, code=3)
    await shell("snapshots", "create", "--run", 1)
    await shell("snapshots", "export", "small@1", tmp_path / "out", "--format", "jsonl")
    await shell("samples", "list", "--run", 1, "--json")
    for arguments in (("runs", "items", 1), ("runs", "show", 1), ("config", "show"), ("metrics", "show")):
        await shell(*arguments)

    events = [orjson.loads(line) for line in logged.splitlines() if line.startswith('{"time"')]
    kinds = {event["event"] for event in events}
    assert {"run.taken_up", "run.finished", "item.dead", "call.failed", "endpoint.throttled"} <= kinds
    assert any("***" in event.get("reason", "") for event in events), "the endpoint's text never got as far as the logs"
    assert leaks_in([refused, logged, *said, *written(tmp_path)]) == []
    assert found() == []
