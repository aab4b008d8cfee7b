import asyncio
from pathlib import Path

from kat_data.hashing import sha256
from kat_data.llm.client import Transient
from kat_data.llm.openai_http import OpenAIClient
from kat_data.llm.openai_wire import request_body
from kat_data.testing import a_request
from kat_data.testing.request_log import read_log
from kat_data.testing.scripted_server import Fault, ScriptedServer


async def test_every_request_is_logged_with_what_became_of_it(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    async with ScriptedServer(latency=0.2, log=log) as server:
        client = OpenAIClient("a", server.url)
        server.fail(Fault(status=429), Fault(kind="malformed"))
        outcomes = await asyncio.gather(*(client.complete(a_request()) for _ in range(3)), return_exceptions=True)
        await client.close()
    assert [isinstance(outcome, Transient) for outcome in outcomes].count(True) == 2
    served = read_log(log)
    assert sorted(each.outcome for each in served) == ["429", "answered", "malformed"]
    assert [each.paid for each in served].count(True) == 1
    assert {each.body for each in served} == {sha256(request_body(a_request(), stream=False)).hex()}
    assert sorted(each.in_flight for each in served) == [1, 2, 3]
    assert all(each.started <= each.ended for each in served)


async def test_a_client_that_leaves_ends_its_request(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    async with ScriptedServer(latency=60, log=log) as server:
        client = OpenAIClient("a", server.url)
        call = asyncio.create_task(client.complete(a_request()))
        while not server.statistics.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0)
        call.cancel()
        await client.close()
        async with asyncio.timeout(20):
            while server.statistics.in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0)
    [served] = read_log(log)
    assert (served.outcome, served.paid) == ("cut off", True)
