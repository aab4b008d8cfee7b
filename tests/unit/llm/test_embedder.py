"""Embeddings over real HTTP: batched, paid once, halved where the endpoint refuses, and kept compactly."""

import asyncio

import numpy as np
import pytest

from kat_data.domain.call import Charge, EmbeddingRequest, Price, Sampling
from kat_data.errors import BudgetExhausted, EndpointFault, RecordingMiss
from kat_data.llm.backoff import Backoff
from kat_data.llm.budget import Budget
from kat_data.llm.embedder import Embedder
from kat_data.llm.embedding_wire import read_embeddings, vectors_of
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.gateway import Gateway
from kat_data.llm.ledger import MemoryLedger
from kat_data.llm.openai_http import OpenAIClient
from kat_data.llm.replay import Recording, RecordingClient, ReplayClient
from kat_data.testing import a_conversation, a_request
from kat_data.testing.embeddings import bag_of_words
from kat_data.testing.scripted_server import Fault, ScriptedServer


def an_embedder(server: ScriptedServer, **fields) -> Embedder:
    client = fields.pop("client", None) or OpenAIClient("e", server.url)
    endpoint = Endpoint("e", client, backoff=Backoff(tries=fields.pop("tries", 1)))
    gateway = Gateway([endpoint], fields.pop("ledger", None) or MemoryLedger(), budget=fields.pop("budget", None))
    return Embedder(gateway=gateway, endpoint="e", name="vectors", **fields)


def vectors(found) -> np.ndarray:
    return np.array([np.frombuffer(one.vector, "<f2") for one in found])


async def test_texts_get_unit_vectors_in_their_order() -> None:
    texts = ["a red house", "red house", "the sea at night"]
    async with ScriptedServer(embed=lambda text: [3 * x for x in bag_of_words(text)]) as server:
        embedder = an_embedder(server)
        found = await embedder.embed(texts)
        again = await embedder.embed(texts)
        await embedder.gateway.close()
    assert again == found
    assert server.statistics.requests == 1
    assert {one.call for one in found} == {found[0].call}
    assert np.allclose(vectors(found), [bag_of_words(text) for text in texts], atol=1e-3)
    assert len(found[0].vector) == 2 * 256


async def test_the_key_is_of_model_revision_and_texts_and_no_questions() -> None:
    messages = a_conversation("Hello")
    request = EmbeddingRequest(model="vectors", messages=messages)
    assert request.key == EmbeddingRequest(model="vectors", messages=messages).key
    others = [
        EmbeddingRequest(model="vectors", messages=messages, revision="2"),
        EmbeddingRequest(model="other", messages=messages),
        EmbeddingRequest(model="vectors", messages=a_conversation("Hello", "Hi")),
        a_request("Hello", model="vectors", sampling=Sampling(max_tokens=0)),
    ]
    assert request.key not in {other.key for other in others}


async def test_money_is_reserved_and_settled() -> None:
    async with ScriptedServer() as server:
        ledger = MemoryLedger()
        embedder = an_embedder(server, ledger=ledger, price=Price(prompt=1e6))
        await embedder.embed(["four"])
        assert ledger.charged == Charge(usd=2.0, tokens=2)
        poor = an_embedder(server, budget=Budget(tokens=10))
        with pytest.raises(BudgetExhausted):
            await poor.embed(["some words that cost more than ten tokens"])
        assert server.statistics.requests == 1
        await asyncio.gather(embedder.gateway.close(), poor.gateway.close())


async def test_a_refused_batch_is_halved_until_the_refused_text_stands_alone() -> None:
    def embed(text: str) -> list[float] | Fault:
        return Fault(status=400, text="too long") if text == "long" else bag_of_words(text)

    async with ScriptedServer(embed=embed) as server:
        embedder = an_embedder(server)
        found = await embedder.embed(["a", "b", "long", "c"])
        await embedder.gateway.close()
    assert [one.vector is None for one in found] == [False, False, True, False]
    assert found[2].call == b""


async def test_passing_faults_are_tried_again_and_lasting_ones_raised() -> None:
    async with ScriptedServer() as server:
        server.fail(Fault(status=429, headers={"Retry-After": "0"}))
        embedder = an_embedder(server, tries=2)
        assert (await embedder.embed(["a"]))[0].vector
        server.fail(Fault(kind="malformed"), Fault(kind="malformed"))
        with pytest.raises(EndpointFault, match="cannot be read"):
            await embedder.embed(["b"])
        await embedder.gateway.close()


async def test_a_recording_answers_as_the_endpoint_did() -> None:
    recording = Recording()
    async with ScriptedServer() as server:
        live = an_embedder(server, client=RecordingClient(recording, OpenAIClient("e", server.url)))
        found = await live.embed(["a", "b"])
        await live.gateway.close()
        replayed = an_embedder(server, client=ReplayClient(recording))
        assert await replayed.embed(["a", "b"]) == found
        with pytest.raises(RecordingMiss):
            await replayed.embed(["c"])


REQUEST = EmbeddingRequest(model="m", messages=a_conversation("abcdefgh", "b"))


def test_replies_are_sorted_by_index_and_small() -> None:
    data = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [1, 0]}]
    reply = read_embeddings({"data": data}, REQUEST)
    assert vectors_of(reply, 2).tolist() == [[1, 0], [0, 1]]
    assert len(reply.text) == 12  # base64 of two vectors of two half floats
    assert (reply.usage.prompt_tokens, reply.usage.estimated) == (3, True)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 0.0]}],
        [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}],
        [{"index": 0, "embedding": [0.0]}, {"index": 1, "embedding": [1.0]}],
        [{"index": 0, "embedding": ["x"]}, {"index": 1, "embedding": [1.0]}],
        [{"index": 0, "embedding": [float("nan")]}, {"index": 1, "embedding": [1.0]}],
    ],
)
def test_a_body_without_a_vector_for_each_text_is_unreadable(data) -> None:
    with pytest.raises(ValueError, match="embedding"):
        read_embeddings({"data": data}, REQUEST)
