import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import trainers
from kat_data.domain.call import FinishReason, Reply, Usage
from kat_data.domain.mode import Mode
from kat_data.domain.sample import Turn
from kat_data.domain.template import render, render_completion
from kat_data.errors import ConfigError, EndpointFault
from kat_data.testing.faults import Fault
from kat_data.testing.scripted_server import ScriptedServer
from trainers.benchmark import Benchmark, items_of
from trainers.cold_start import ColdStart
from trainers.config import Model, load
from trainers.evaluate import ANSWERS, Evaluate, compare, evaluate
from trainers.generation import Endpoint, Sampling
from trainers.rewards import Verification

SAMPLING = Sampling(temperature=0.0, max_tokens=12, batch=4)


def policy(body: dict[str, Any], *, wrong: int = 7) -> Reply:
    """Thinks about odd numbers unless it is told not to, errs at one number, and cannot write the form at another."""
    text = body["messages"][-1]["content"]
    number = int(re.findall(r"\d+", text)[0])
    on = "<think_on>" in text or (number % 2 == 1 and "<think_off>" not in text and "DO NOT THINK" not in text)
    turn = Turn(
        user="x",
        judge_analysis="A sum.",
        mode=Mode.ON if on else Mode.OFF,
        thinking="One more." if on else "",
        answer=str(number + (2 if number == wrong else 1)),
    )
    if number == 8:
        return said(f"It is {number + 1}.")
    return said(render_completion(turn) if text.endswith(("<think_on>", "<think_off>")) else render(turn))


def said(text: str) -> Reply:
    usage = Usage(prompt_tokens=1, completion_tokens=len(text.split()))
    return Reply(text=text, finish_reason=FinishReason.STOP, usage=usage)


def settings(folder: Path, snapshot: Path, **changes: Any) -> Evaluate:
    return Evaluate(
        **{
            "benchmarks": (Benchmark(snapshot=snapshot, split="train"),),
            "output": folder,
            "sampling": SAMPLING,
            "verification": Verification(processes=1),
            **changes,
        }
    )


def line(summary: dict[str, Any], asked: str) -> dict[str, Any]:
    [found] = [one for one in summary["benchmarks"] if (one["benchmark"], one["asked"]) == ("all", asked)]
    return dict(found)


async def test_an_endpoint_is_measured_in_every_way_of_asking(
    make_snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    snapshot = make_snapshot("stage3", 24)
    items = items_of(Benchmark(snapshot=snapshot, split="train"))
    numbers = [int(re.findall(r"\d+", item.row["prompt"][-1]["content"])[0]) for item in items]
    async with ScriptedServer(policy) as server:
        config = settings(
            tmp_path,
            snapshot,
            endpoint=Endpoint(url=server.url, model="policy"),
            asked=("auto", "think_on", "think_off", "directed_on", "directed_off"),
        )
        summary = await asyncio.to_thread(evaluate, config)
        asked = server.statistics.requests
    auto = line(summary, "auto")
    formed = [number for number in numbers if number != 8]
    assert auto["accuracy"]["mean"] == pytest.approx(sum(n != 7 for n in formed) / len(numbers))
    assert auto["format"]["mean"] == pytest.approx(len(formed) / len(numbers))
    assert auto["think_on"]["mean"] == pytest.approx(sum(n % 2 for n in formed) / len(formed))
    assert auto["accuracy"]["low"] < auto["accuracy"]["mean"] < auto["accuracy"]["high"]
    assert (auto["undecided"], auto["accuracy"]["items"]) == (0, 24)
    assert auto["tokens_on"]["mean"] > auto["tokens_off"]["mean"]
    assert line(summary, "think_on")["format"]["mean"] == pytest.approx(len(formed) / len(numbers))
    assert "think_on" not in line(summary, "think_on")
    assert line(summary, "directed_off")["obeyed"]["mean"] == pytest.approx(len(formed) / len(numbers))
    odd = sum(n % 2 for n in formed) / len(numbers)
    assert line(summary, "directed_on")["obeyed"]["mean"] == pytest.approx(odd)
    assert orjson.loads((tmp_path / "summary.json").read_bytes()) == summary
    assert asked == 5 * 24


async def test_what_was_answered_is_not_asked_again(make_snapshot: Callable[..., Path], tmp_path: Path) -> None:
    snapshot = make_snapshot("stage3", 24)
    async with ScriptedServer(policy) as server:
        endpoint = Endpoint(url=server.url, model="policy")
        first = settings(tmp_path, snapshot, endpoint=endpoint, samples=1)
        await asyncio.to_thread(evaluate, first)
        whole = (tmp_path / ANSWERS).read_bytes()
        cut = whole.splitlines(keepends=True)
        (tmp_path / ANSWERS).write_bytes(b"".join(cut[:-2]) + cut[-2][:20])
        summary = await asyncio.to_thread(evaluate, first)
        assert server.statistics.requests == 24 + 2
        assert sorted((tmp_path / ANSWERS).read_bytes().splitlines()) == sorted(whole.splitlines())
        more = await asyncio.to_thread(evaluate, settings(tmp_path, snapshot, endpoint=endpoint, samples=3))
        assert server.statistics.requests == 24 + 2 + 48
    assert line(more, "auto")["accuracy"]["n"] == 3 * line(summary, "auto")["accuracy"]["n"]
    other = settings(tmp_path, snapshot, endpoint=Endpoint(url="http://127.0.0.1:1", model="other"))
    with pytest.raises(ConfigError, match="holds another evaluation"):
        evaluate(other)


async def test_passing_faults_are_tried_again_and_a_refusal_is_told(
    make_snapshot: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.generation._PAUSE", 0.0)
    snapshot = make_snapshot("stage3", 8)
    async with ScriptedServer(policy) as server:
        endpoint = Endpoint(url=server.url, model="policy")
        server.fail(Fault(status=500), Fault(kind="drop"), Fault(kind="malformed"), Fault(status=429))
        summary = await asyncio.to_thread(evaluate, settings(tmp_path / "a", snapshot, endpoint=endpoint))
        assert line(summary, "auto")["accuracy"]["n"] == 8
        server.fail(*[Fault(status=500)] * 40)
        with pytest.raises(EndpointFault, match="no reply in 5 tries"):
            await asyncio.to_thread(evaluate, settings(tmp_path / "b", snapshot, endpoint=endpoint))
    async with ScriptedServer(policy, api_key="right") as server:
        endpoint = Endpoint(url=server.url, model="policy")
        with pytest.raises(ConfigError, match="HTTP 401"):
            await asyncio.to_thread(evaluate, settings(tmp_path / "c", snapshot, endpoint=endpoint))


async def test_two_evaluations_are_compared_item_by_item(make_snapshot: Callable[..., Path], tmp_path: Path) -> None:
    snapshot = make_snapshot("stage3", 24)
    for name, wrong in (("before", 7), ("after", -1)):
        async with ScriptedServer(lambda body, wrong=wrong: policy(body, wrong=wrong)) as server:
            endpoint = Endpoint(url=server.url, model="policy")
            await asyncio.to_thread(evaluate, settings(tmp_path / name, snapshot, endpoint=endpoint))
    [found] = compare(tmp_path / "before", tmp_path / "after")
    assert found["accuracy"]["mean"] == pytest.approx(2 / 24)  # two items ask for 7 + 1
    assert found["think_on"]["mean"] == found["think_on"]["high"] == 0.0


def test_a_checkpoint_answers_alike_each_time(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    snapshot = make_snapshot("stage3", 6)
    model = Model(path=str(tiny_model), dtype="float32")
    drawn = Sampling(temperature=1.0, max_tokens=12, batch=4)
    one, two = (
        evaluate(settings(tmp_path / name, snapshot, model=model, sampling=drawn, samples=2)) for name in ("1", "2")
    )
    assert one == two
    assert line(one, "auto")["tokens"]["n"] == 12
    assert line(one, "auto")["format"]["mean"] == 0.0  # random weights say nothing in our form
    assert (tmp_path / "1" / ANSWERS).read_bytes() == (tmp_path / "2" / ANSWERS).read_bytes()


def test_mistakes_are_told(make_snapshot: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="either a model or an endpoint"):
        evaluate(settings(tmp_path, make_snapshot("stage3", 6)))
    with pytest.raises(ConfigError, match="give a stage3 snapshot"):
        evaluate(settings(tmp_path, make_snapshot("stage2", 6), model=Model(path="m")))


@pytest.mark.parametrize(("name", "kind"), [("evaluate_tiny", Evaluate), ("cold_start_tiny", ColdStart)])
def test_the_shipped_configurations_are_read(name: str, kind: type[Any]) -> None:
    found = load(Path(trainers.__file__).parent / "configs" / f"{name}.yaml", kind)
    assert found.model.path == ("runs/cold_start/model" if kind is Evaluate else "runs/distill/model")
