"""The limit: aiohttp and orjson, and nothing kept."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import orjson


async def main(url: str, lines: list[bytes], in_flight: int) -> None:
    rows = iter([orjson.loads(line) for line in lines])

    async def caller(session: aiohttp.ClientSession) -> None:
        for row in rows:
            body = {"model": "benchmark", "messages": [{"role": "user", "content": row["prompt"]}]}
            async with session.post(f"{url}/chat/completions", data=orjson.dumps(body)) as response:
                orjson.loads(await response.read())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(caller(session) for _ in range(in_flight)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes().splitlines(), int(sys.argv[4])))
