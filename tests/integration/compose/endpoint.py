"""An endpoint that answers the test's queries right; runs inside the stack, as a service beside it."""

import asyncio
from pathlib import Path

from kat_data.sources.presets import read_queries
from kat_data.testing.oracle import Oracle
from kat_data.testing.scripted_server import ScriptedServer

FILES = {"plain": "sums.jsonl", "mbpp": "programs.jsonl"}


async def _serve() -> None:
    folder = Path(__file__).parent
    queries = [
        query
        for preset, name in FILES.items()
        for _, query in read_queries(folder / name, preset=preset, source="test", licence="MIT")  # type: ignore[misc]
    ]
    async with ScriptedServer(Oracle(queries, right=1.0), host="0.0.0.0", port=8000):
        await asyncio.Event().wait()


asyncio.run(_serve())
