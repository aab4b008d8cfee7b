import asyncio

import pytest

from kat_data.errors import EndpointRefused
from kat_data.stages.parts.asking import all_settled, ask_first
from kat_data.stages.parts.replies import VoteReply
from kat_data.testing import a_conversation

HELLO = a_conversation("Hello")
VOTE = {"reason": "One fact.", "mode": "think_off"}


async def test_the_first_usable_reply_ends_the_asking(player, cut):
    scripts = [player(vote=[cut]), player(vote=[VOTE]), player(vote=[VOTE])]
    models = [script.model(f"m{i}") for i, script in enumerate(scripts)]
    opinion = await ask_first(models, HELLO, VoteReply)
    assert opinion.model == "m1"
    assert [len(script.requests) for script in scripts] == [1, 1, 0]


async def test_nobody_usable_is_none(player, cut):
    assert await ask_first([player(vote=[cut]).model()], HELLO, VoteReply) is None


async def test_an_exception_waits_until_every_task_has_ended():
    ended = []

    async def fails():
        raise EndpointRefused("wrong key")

    async def slow():
        for _ in range(3):
            await asyncio.sleep(0)
        ended.append("slow")

    with pytest.raises(EndpointRefused):
        await all_settled([fails(), slow()])
    assert ended == ["slow"]


async def test_a_model_listed_twice_is_asked_for_another_draw(player, cut):
    script = player(vote=[cut, VOTE])
    model = script.model()
    assert await ask_first([model, model], HELLO, VoteReply, sample=3)
    assert [request.sample for _, request in script.requests] == [3, 4]
