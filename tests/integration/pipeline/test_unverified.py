"""Programs that no sandbox could run: the run takes their queries up again with one, and pays nothing twice."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from kat_data.domain.call import FinishReason, Reply
from kat_data.domain.category import Category
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.domain.states import RunState
from kat_data.errors import SandboxMissing
from kat_data.pipeline.unverified import isolates, take_up_unverified
from kat_data.registry import queries
from kat_data.registry.lineage import sample_lineage
from kat_data.sandbox.open import open_sandbox
from kat_data.sandbox.pool import SlotPool
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SlotPool]:
    for kind in ("bwrap", "docker"):
        try:
            pool = open_sandbox(kind)
        except SandboxMissing as error:
            why = str(error)
            continue
        yield pool
        pool.close()
        return
    pytest.skip(why)


def code_query(name: str, tests: tuple[str, ...] = ("assert {0}(1, 2) == 3", "assert {0}(-1, 1) == 0")) -> Query:
    options = {"tests": [test.format(name) for test in tests], "entry": name}
    spec = VerifierSpec(kind=VerifierKind.CODE, options=options)
    return a_query(f"Write {name}(a, b).", reference=None, category=Category.CODE, verifier=spec)


def programmer() -> Any:
    """Votes think-off, and adds wrongly at first."""
    tries = count()

    def script(body: dict[str, Any]) -> Reply:
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        if "mode" in schema:
            return Reply(text=json.dumps({"reason": "So.", "mode": "think_off"}), finish_reason=FinishReason.STOP)
        if "Write add" not in json.dumps(body["messages"]) or schema:
            return obedient(body)
        sign = "-" if next(tries) == 0 else "+"
        text = f"So it goes:\n```python\ndef add(a, b):\n    return a {sign} b\n```"
        return Reply(text=text, finish_reason=FinishReason.STOP)

    return script


async def test_what_lacked_a_sandbox_starts_again_with_one_and_pays_nothing_twice(
    registry, run, lean, add_queries, look, sandbox, easy_queries
) -> None:
    idle = code_query("idle", tests=("assert {0}(1, 2) is None",))
    add_queries(code_query("add"), idle, *easy_queries)
    async with ScriptedServer(programmer()) as server:
        recipe = lean(url=server.url)
        row = await run(recipe)
        assert look.ends(row.id) == {"accepted": 12, "dropped": 2}
        assert look.reasons(row.id) == {"no_sandbox"}

        assert take_up_unverified(registry, row, lambda: isolates(lambda: None)) == 0
        assert (look.stored(row.id).state, look.reasons(row.id)) == (RunState.FINISHED, {"no_sandbox"})

        paid = server.statistics.requests
        assert take_up_unverified(registry, row, lambda: isolates(lambda: sandbox)) == 2
        assert look.ends(row.id) == {"accepted": 12, "ready": 2}
        again = await run(recipe, open_sandbox=lambda: sandbox)
        assert again.id == row.id
        assert look.ends(row.id) == {"accepted": 13, "dropped": 1}
        assert look.reasons(row.id) == {"invalid_task"}  # admission was missed, too
        assert server.statistics.duplicates == 0
        assert server.statistics.requests - paid == 2  # the second draw, and the judge analysis
    with registry.engine.connect() as connection:
        [sample] = [s for s in queries.list_samples(connection, row.id, 20) if "add" in s["sample"]["turns"][0]["user"]]
        lineage = sample_lineage(connection, str(sample["id"]))
    assert [v["outcome"] for v in lineage["verdicts"]] == ["incorrect", "correct"]

    assert take_up_unverified(registry, row, lambda: isolates(lambda: sandbox)) == 0


async def test_a_sandbox_that_isolates_nothing_takes_nothing_up(registry, run, lean, add_queries, look) -> None:
    add_queries(code_query("add"))
    async with ScriptedServer(programmer()) as server:
        row = await run(lean(url=server.url))
    assert take_up_unverified(registry, row, lambda: isolates(lambda: open_sandbox("none"))) == 0
    assert look.reasons(row.id) == {"no_sandbox"}


async def test_a_mixture_takes_up_no_more_than_it_needs(registry, run, lean, add_queries, look, sandbox) -> None:
    add_queries(*(code_query(f"add{n}") for n in range(4)))

    async with ScriptedServer(adder) as server:
        stages = ["normalise", {"vote_mode": {"random_share": 0}}, {"select": {"counts": {"category=code": 2}}}]
        recipe = lean(url=server.url, stages=[*stages, "sample_off", "sample_on", "verify", "judge_mode"])
        row = await run(recipe)
        assert look.ends(row.id) == {"dropped": 4}
        assert look.reasons(row.id) == {"no_sandbox"}

        assert take_up_unverified(registry, row, lambda: isolates(lambda: sandbox)) == 4
        assert look.ends(row.id) == {"held": 4}
        await run(recipe, open_sandbox=lambda: sandbox)
        assert look.ends(row.id) == {"accepted": 2, "dropped": 2}
        assert look.reasons(row.id) == {"not_needed"}
        assert server.statistics.duplicates == 0


def adder(body: dict[str, Any]) -> Reply:
    """Add rightly under every name, without thought."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    if "mode" in schema:
        return Reply(text=json.dumps({"reason": "So.", "mode": "think_off"}), finish_reason=FinishReason.STOP)
    if schema:
        return obedient(body)
    name = body["messages"][-1]["content"].partition("Write ")[2].partition("(")[0]
    text = f"```python\ndef {name}(a, b):\n    return a + b\n```"
    return Reply(text=text, finish_reason=FinishReason.STOP)
