import asyncio
import re
import sys

import aiohttp

from kat_data.llm.endpoint import Endpoint
from kat_data.llm.gateway import Gateway
from kat_data.llm.ledger import MemoryLedger
from kat_data.llm.openai_http import OpenAIClient
from kat_data.testing import a_request
from kat_data.testing.scripted_server import Fault, ScriptedServer


async def stats(url: str) -> dict:
    async with aiohttp.ClientSession() as session, session.get(url.removesuffix("/v1") + "/stats") as response:
        return await response.json()


async def test_it_counts_requests_and_equal_bodies():
    async with ScriptedServer(lambda body: "Hi") as server:
        client = OpenAIClient("a", server.url)
        for text in ("one", "two", "one", "one"):
            await client.complete(a_request(text))
        await client.close()
        seen = await stats(server.url)
        assert (seen["requests"], seen["answered"], seen["duplicates"], seen["in_flight"]) == (4, 4, 2, 0)
        assert sorted(server.counts.values()) == [1, 3]


async def test_a_whole_gateway_gets_through_a_storm_of_faults():
    storm = [Fault(status=503), Fault(kind="drop"), Fault(status=429), Fault(kind="malformed"), Fault(status=500)]
    async with ScriptedServer() as server:
        server.fail(*storm)
        client = OpenAIClient("a", server.url)
        clock = Fast()
        gateway = Gateway([Endpoint("a", client, clock=clock)], MemoryLedger(), clock=clock)
        replies = await asyncio.gather(*(gateway.call("a", a_request(str(n))) for n in range(40)))
        await gateway.close()
        assert all("boxed" in reply.text for reply in replies)
        assert server.statistics.answered == 40
        assert server.statistics.requests == 45 == 40 + gateway.counters.retries


class Fast:
    """A clock on which every pause is over at once."""

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def test_it_hangs_until_it_is_closed():
    arrived = asyncio.Event()

    def script(body: dict) -> Fault:
        arrived.set()
        return Fault(kind="hang")

    async with ScriptedServer(script) as server:
        client = OpenAIClient("a", server.url)
        call = asyncio.create_task(client.complete(a_request()))
        await arrived.wait()
        assert not call.done()
    await asyncio.gather(call, return_exceptions=True)
    assert call.exception() is not None
    await client.close()


async def test_it_holds_its_answers_until_it_may_give_them():
    async with ScriptedServer() as server:
        client = OpenAIClient("a", server.url)
        server.hold(after=1)
        calls = [asyncio.create_task(client.complete(a_request(str(n)))) for n in range(3)]
        done, held = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), server.statistics.answered) == (1, 1)
        server.release()
        await asyncio.gather(*held)
        assert server.statistics.answered == 3
        await client.close()


async def test_it_serves_as_a_process_of_its_own():
    command = [sys.executable, "-W", "error", "-m", "kat_data.testing.scripted_server", "--api-key", "k"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    url = (await process.stdout.readline()).decode().strip()
    client = OpenAIClient("a", url, api_key="k")
    reply = await client.complete(a_request("What is 3 + 4?"))
    await client.close()
    assert re.search(r"\\boxed\{[78]\}$", reply.text)
    assert (await stats(url))["answered"] == 1
    process.terminate()
    assert await process.wait() == 0
