"""Depth upscaling end to end: what is written is an ordinary checkpoint that computes what it should."""

import json
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

import trainers.shards
from kat_data.errors import ConfigError
from trainers.config import Model
from trainers.duplication import Choice, Init
from trainers.launch import launch
from trainers.record import lines, weights_hash
from trainers.saturation import Calibration, read_saturation
from trainers.upscale import Upscale, train

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "initializer_range": 0.2,  # large enough for every layer to change what goes through it
}
WINDOW = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
BIASED = {"attention_bias": True, "mlp_bias": True}
KINDS: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=False)),
    "qwen2-window": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, **WINDOW, tie_word_embeddings=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8, tie_word_embeddings=True)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=False)),
    "llama-biased": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, **BIASED, tie_word_embeddings=False)),
}
TOKENS = torch.arange(2, 26).reshape(2, 12)


@pytest.fixture(scope="module", params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    model = KINDS[request.param]()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_()
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return folder


def configured(source: Path, output: Path, **changes: Any) -> Upscale:
    config = Upscale(
        model=Model(path=str(source)), output=output, target_layers=5, choice=Choice.LISTED, doubled=(0, 2)
    )
    return replace(config, **changes)


def load(folder: Path, **options: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, **options).eval()


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(TOKENS).logits


@torch.no_grad()
def logits_with_cache(model: Any) -> torch.Tensor:
    """Token by token, each after a cache of those before it."""
    cache, found = None, []
    for place in range(TOKENS.shape[1]):
        out = model(TOKENS[:, place : place + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        found.append(out.logits)
    return torch.cat(found, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_out_is_the_same_function_bit_by_bit(source: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    train(configured(source, tmp_path, init=Init.ZERO_OUT))
    before, after = load(source, dtype=dtype), load(tmp_path / "model", dtype=dtype)
    assert len(after.model.layers) == 5
    assert torch.equal(logits(after), logits(before))
    assert torch.equal(logits_with_cache(after), logits_with_cache(before))
    for sampled in ({"do_sample": False}, {"do_sample": True, "temperature": 1.5}):
        answers = []
        for model in (before, after):
            torch.manual_seed(5)
            answers.append(model.generate(TOKENS, max_new_tokens=12, **sampled))
        assert torch.equal(*answers)


@pytest.mark.parametrize("choice", [Choice.LISTED, Choice.BLOCK])
def test_a_copy_is_the_model_with_its_layers_in_the_planned_order(source: Path, tmp_path: Path, choice: Choice) -> None:
    report = {"model": "m", "texts": 2, "tokens": 9, "layers": []}
    for layer, mean in enumerate((0.5, 0.9, 0.8)):
        report["layers"].append({"layer": layer, "mean": mean, "std": 0.0, "low": None, "high": None})  # type: ignore[attr-defined]
    (tmp_path / "report.json").write_text(json.dumps(report))
    block = {"choice": choice, "doubled": (), "saturation": tmp_path / "report.json"}
    train(configured(source, tmp_path / "out", init=Init.COPY, **(block if choice is Choice.BLOCK else {})))
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["sources"] == ([0, 1, 2, 1, 2] if choice is Choice.BLOCK else [0, 0, 1, 2, 2])

    expected, found = load(source), load(tmp_path / "out" / "model")
    expected.model.layers = torch.nn.ModuleList(deepcopy(expected.model.layers[s]) for s in plan["sources"])
    for place, layer in enumerate(expected.model.layers):
        layer.self_attn.layer_idx = place
    expected.config.num_hidden_layers = expected.model.config.num_hidden_layers = 5
    expected.config.layer_types = found.config.layer_types if hasattr(found.config, "layer_types") else None
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name
    assert torch.equal(logits(found), logits(expected))
    assert not torch.equal(logits(found), logits(load(source)))
    assert lines(tmp_path / "out" / "record.jsonl")[-1]["values"]["parameters"] == found.num_parameters()


def test_copies_of_zero_out_learn(source: Path, tmp_path: Path) -> None:
    train(configured(source, tmp_path, init=Init.ZERO_OUT))
    model = load(tmp_path / "model").train()
    copies = [model.model.layers[place] for place in json.loads((tmp_path / "plan.json").read_text())["copies"]]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(TOKENS, labels=TOKENS).loss.backward()
    for copy in copies:
        assert copy.self_attn.o_proj.weight.grad.abs().max() > 1e-4
        assert copy.mlp.down_proj.weight.grad.abs().max() > 1e-4
        assert copy.self_attn.q_proj.weight.grad.abs().max() == 0  # what it attends to matters once it writes something
    optimizer.step()
    optimizer.zero_grad()
    model(TOKENS, labels=TOKENS).loss.backward()
    for copy in copies:
        for name, parameter in copy.named_parameters():
            if not name.endswith("k_proj.bias"):  # softmax takes no notice of what is added to every key
                assert parameter.grad.abs().max() > 0, name


def test_the_whole_path_measures_doubles_writes_and_records(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration = Calibration(texts=make_snapshot("stage1"), limit=6, batch=3, max_tokens=64)
    config = configured(tiny_model, tmp_path / "out", target_layers=3, choice=Choice.SATURATED, doubled=())
    train(replace(config, calibration=calibration, shard_bytes=20_000))
    output = tmp_path / "out"
    saturation = read_saturation(output / "saturation.json")
    plan = json.loads((output / "plan.json").read_text())
    assert plan["doubled"] == [saturation.ranked[0]]
    assert plan["saturation"] == list(saturation.means)
    assert (output / "saturation.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith("2 -> 3 layers: 1 are doubled (choice: saturated, init: zero_out)\n")

    assert len(list((output / "model").glob("model-*-of-*.safetensors"))) > 1
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
        assert (output / "model" / name).read_bytes() == (tiny_model / name).read_bytes()
    assert torch.equal(logits(load(output / "model")), logits(load(tiny_model)))

    events = lines(output / "record.jsonl")
    assert [event["event"] for event in events] == ["started", "checkpoint", "finished"]
    assert events[0]["run"]["base_weights"] == weights_hash(tiny_model.glob("*.safetensors"))
    assert events[1]["hash"] == weights_hash((output / "model").glob("*.safetensors"))
    with pytest.raises(ConfigError, match="is there already: give another output, or remove it"):
        train(replace(config, calibration=calibration, shard_bytes=20_000))


def test_a_killed_run_goes_on_where_it_stopped(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = Calibration(texts=make_snapshot("stage1"), limit=6, batch=3, max_tokens=64)
    config = configured(tiny_model, tmp_path / "whole", target_layers=3, choice=Choice.SATURATED, doubled=())
    config = replace(config, calibration=calibration, shard_bytes=20_000)
    train(config)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole" / "model").iterdir()}

    config = replace(config, output=tmp_path / "cut")
    real, left = trainers.shards._copy_bytes, iter(range(12))

    def dies(*given: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(trainers.shards, "_copy_bytes", dies)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "model").exists()
    unfinished = tmp_path / "cut" / ".model.unfinished"
    first = min(unfinished.glob("*.safetensors"))
    written = first.stat().st_mtime_ns

    monkeypatch.setattr("trainers.upscale.calibrate", lambda *_: pytest.fail("it is measured already"))
    with pytest.raises(ConfigError, match="holds another training run"):
        train(replace(config, target_layers=4))
    train(config)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cut" / "model").iterdir()} == whole
    assert (tmp_path / "cut" / "model" / first.name).stat().st_mtime_ns == written
    assert not unfinished.exists()


def test_a_run_that_died_before_its_record_ended_ends_it(tiny_model: Path, tmp_path: Path) -> None:
    config = configured(tiny_model, tmp_path, target_layers=3, doubled=(1,))
    train(config)
    record = tmp_path / "record.jsonl"
    ended = lines(record)
    record.write_bytes(record.read_bytes().splitlines(keepends=True)[0])
    written = (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns
    train(config)
    again = lines(record)
    assert [event["event"] for event in again] == ["started", "resumed", "checkpoint", "finished"]
    assert again[-2]["hash"] == ended[1]["hash"]
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"target_layers": 4}, "target_layers: 4: the list makes 3 layers"),
        ({"doubled": ()}, "doubled: list the layers with `choice: listed`, and with no other choice"),
        ({"choice": Choice.BLOCK}, "doubled: list the layers with `choice: listed`, and with no other choice"),
        (
            {"choice": Choice.SATURATED, "doubled": ()},
            "choice: saturated: give `calibration` texts, or a `saturation` report",
        ),
        (
            {
                "choice": Choice.SATURATED,
                "doubled": (),
                "target_layers": 2,
                "calibration": Calibration(texts=Path("b")),
            },
            "target_layers: 2: the model has 2 layers already: give more",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_one_line(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        train(configured(tiny_model, tmp_path, **{"target_layers": 3, "doubled": (1,), **changes}))
    assert str(raised.value) == line
    assert list(tmp_path.iterdir()) == []  # the next try finds no record of another run


def test_a_report_of_another_measurement_is_not_taken_for_this_runs(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "saturation.json").write_text("{}")
    calibration = Calibration(texts=make_snapshot("stage1"), limit=2, batch=2, max_tokens=64)
    config = configured(tiny_model, tmp_path, target_layers=3, choice=Choice.SATURATED, doubled=())
    train(replace(config, calibration=calibration))
    assert read_saturation(tmp_path / "saturation.json").texts == 2


def test_a_report_of_another_model_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    layer = {"layer": 0, "mean": 0.5, "std": 0.0, "low": None, "high": None}
    report = {"model": "m", "texts": 2, "tokens": 9, "layers": [layer] * 5}
    (tmp_path / "report.json").write_text(json.dumps(report))
    config = configured(tiny_model, tmp_path / "out", target_layers=3, choice=Choice.BLOCK, doubled=())
    with pytest.raises(ConfigError, match="the saturation report is of 5 layers, the model has 2"):
        train(replace(config, saturation=tmp_path / "report.json"))


def test_what_cannot_be_measured_is_one_line_and_leaves_nothing(tiny_model: Path, tmp_path: Path) -> None:
    config = configured(tiny_model, tmp_path / "out", target_layers=3, choice=Choice.SATURATED, doubled=())
    config = replace(config, calibration=Calibration(texts=tmp_path / "texts.txt"))
    with pytest.raises(ConfigError, match=r"texts\.txt is not there: give calibration texts"):
        train(config)
    (tmp_path / "texts.txt").write_text("a text")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    with pytest.raises(ConfigError, match="has no tokenizer: none of"):
        train(replace(config, model=Model(path=str(tmp_path))))
    assert not (tmp_path / "out").exists()


def test_a_disk_without_room_is_told_before_anything_is_written(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.upscale._free", lambda _: 1000)
    with pytest.raises(ConfigError, match=r"will be written, and 1\.0 kB are free"):
        train(configured(tiny_model, tmp_path, target_layers=3, doubled=(1,)))
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_has_a_dry_run(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"model: {{path: {tiny_model}}}\noutput: {tmp_path}/out\ntarget_layers: 3\nchoice: listed\ndoubled: [1]\n"
    )
    monkeypatch.setattr(sys, "argv", ["upscale", str(file), "--dry-run", "--set", "init=copy"])
    launch(train, Upscale, None, dry_run="say what would be written")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "2 -> 3 layers: 1 are doubled (choice: listed, init: copy)"
    assert out[-1].startswith(f"free for {tmp_path}/out: ")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(sys, "argv", ["upscale", str(file), "--set", "target_layers=2"])
    with pytest.raises(SystemExit) as raised:
        launch(train, Upscale, None)
    assert raised.value.code == 2
    assert capsys.readouterr().err == "error: target_layers: 2: the list makes 3 layers\n"
