"""Keys come from the environment, as files and terminals leave them there."""

import importlib.util

import pytest

from kat_data.errors import RecipeError
from kat_data.llm.anthropic_http import AnthropicClient
from kat_data.llm.litellm_client import LitellmClient
from kat_data.llm.openai_http import OpenAIClient
from kat_data.pipeline.recipe_parts import EndpointSpec
from kat_data.pipeline.wiring import make_batch_client, make_client
from kat_data.testing import a_request
from kat_data.testing.scripted_server import ScriptedServer


async def test_white_space_around_a_key_is_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_KEY", " sk-secret\r\n")
    async with ScriptedServer(lambda _: "Hi", api_key="sk-secret") as server:
        client = make_client("small", EndpointSpec(url=server.url, key_env="SMALL_KEY"))
        assert (await client.complete(a_request())).text == "Hi"
        await client.close()


@pytest.mark.parametrize(("key", "problem"), [(" \n", "is not set"), ("sk-one\nsk-two", "holds a control character")])
def test_a_key_that_cannot_be_used_is_refused_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, key: str, problem: str
) -> None:
    monkeypatch.setenv("SMALL_KEY", key)
    with pytest.raises(RecipeError, match=problem) as raised:
        make_client("small", EndpointSpec(url="http://127.0.0.1:9/v1", key_env="SMALL_KEY"))
    assert "SMALL_KEY" in str(raised.value)
    assert "sk-" not in str(raised.value)


def test_each_provider_has_its_client_and_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    specs = {
        "openai": EndpointSpec(url="http://127.0.0.1:9/v1"),
        "anthropic": EndpointSpec(provider="anthropic"),
        "litellm": EndpointSpec(provider="litellm"),
    }
    assert {name: type(make_client(name, spec)) for name, spec in specs.items()} == {
        "openai": OpenAIClient,
        "anthropic": AnthropicClient,
        "litellm": LitellmClient,
    }
    found = {name: getattr(make_batch_client(name, spec), "place", None) for name, spec in specs.items()}
    assert found == {
        "openai": "openai http://127.0.0.1:9/v1",
        "anthropic": "anthropic https://api.anthropic.com/v1",
        "litellm": None,
    }
    assert make_batch_client("recorded", EndpointSpec(recording="demo")) is None
