"""Saturation: the cosine of what enters and leaves each layer, over the tokens that are no padding."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from kat_data.errors import ConfigError
from trainers.config import Model
from trainers.saturation import Calibration, Layer, Measurement, Saturation, calibrate, measure, read_saturation, train
from trainers.saturation_plot import plot


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


def batch(*lengths: int, width: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    return {"input_ids": torch.randint(10, 200, mask.shape, generator=generator), "attention_mask": mask}


def hidden_states(model: Any, one: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """What enters each layer, and what leaves the last."""
    found: list[torch.Tensor] = []
    places = [*model.model.layers, model.model.norm]
    hooks = [place.register_forward_pre_hook(lambda _, args: found.append(args[0])) for place in places]
    with torch.no_grad():
        model(**one)
    for hook in hooks:
        hook.remove()
    return found


def reference(model: Any, batches: list[dict[str, torch.Tensor]]) -> list[list[torch.Tensor]]:
    """The cosines of every token, by layer and text, from all hidden states at once."""
    cosines: list[list[torch.Tensor]] = [[] for _ in model.model.layers]
    for one in batches:
        for layer, (before, after) in enumerate(pairwise(hidden_states(model, one))):
            found = torch.cosine_similarity(before, after, dim=-1)
            cosines[layer] += [row[mask] for row, mask in zip(found, one["attention_mask"].bool(), strict=True)]
    return cosines


def test_streaming_gives_what_all_hidden_states_at_once_give(model: Any) -> None:
    batches = [batch(9, 4, 1, width=9), batch(6, 6, width=6, seed=1)]
    found = measure(model, iter(batches))
    assert (found.texts, found.tokens) == (5, 26)
    for layer, texts in zip(found.layers, reference(model, batches), strict=True):
        tokens = torch.cat(texts).double()
        assert layer.mean == pytest.approx(float(tokens.mean()), abs=1e-6)
        assert layer.std == pytest.approx(float(tokens.std(correction=0)), abs=1e-6)


def test_padding_does_not_count(model: Any) -> None:
    narrow = batch(5, 5, width=5)
    wide = {name: torch.nn.functional.pad(found, (0, 7), value=0) for name, found in narrow.items()}
    for one, other in zip(measure(model, [narrow]).layers, measure(model, [wide]).layers, strict=True):
        assert one.mean == pytest.approx(other.mean, abs=1e-6)
        assert one.std == pytest.approx(other.std, abs=1e-6)


def test_the_interval_is_that_of_means_over_texts(model: Any) -> None:
    batches = [batch(*[8] * 40, width=8)]  # texts of one length: the plain standard error of their means
    for layer, texts in zip(measure(model, batches).layers, reference(model, batches), strict=True):
        means = torch.stack([text.double().mean() for text in texts])
        error = float(means.std() / len(means) ** 0.5)
        assert layer.low is not None
        assert layer.high is not None
        assert (layer.high - layer.low) / 2 == pytest.approx(1.96 * error, rel=1e-4)


def test_one_text_has_no_interval(model: Any) -> None:
    assert {(layer.low, layer.high) for layer in measure(model, [batch(8, width=8)]).layers} == {(None, None)}


def test_a_layer_that_writes_nothing_is_saturated(model: Any) -> None:
    layer = model.model.layers[1]
    for written in (layer.self_attn.o_proj, layer.mlp.down_proj):
        written.weight.data.zero_()
    found = measure(model, [batch(7, 3, width=7)])
    assert found.layers[1].mean == pytest.approx(1, abs=1e-6)
    assert found.layers[1].std == pytest.approx(0, abs=1e-3)
    assert found.ranked[0] == 1


def test_hidden_states_do_not_pile_up_and_hooks_are_gone(model: Any) -> None:
    kept = 0

    def many() -> Iterator[dict[str, torch.Tensor]]:
        nonlocal kept
        import gc

        for seed in range(4):
            yield batch(16, 16, width=16, seed=seed)
            kept = max(kept, sum(isinstance(o, torch.Tensor) and o.shape == (2, 16, 32) for o in gc.get_objects()))

    measure(model, many())
    assert kept == 0
    assert not any(layer._forward_hooks for layer in model.model.layers)


def test_no_token_at_all_is_one_line(model: Any) -> None:
    with pytest.raises(ConfigError, match="the calibration texts hold no token"):
        measure(model, [])


def test_the_report_is_read_back(tmp_path: Path) -> None:
    layers = (
        Layer(layer=0, mean=0.5, std=0.1, low=0.4, high=0.6),
        Layer(layer=1, mean=0.9, std=0.1, low=None, high=None),
    )
    found = Saturation(model="m", texts=1, tokens=2, layers=layers)
    (tmp_path / "report.json").write_bytes(found.to_json())
    assert read_saturation(tmp_path / "report.json") == found
    assert json.loads(found.to_json())["ranked"] == [1, 0]
    assert list(found.lines()) == [
        "m: cosine of input and output by layer, over 1 texts, 2 tokens",
        "  layer   1  0.9000  std 0.1000",
        "  layer   0  0.5000  [0.4000, 0.6000]  std 0.1000",
    ]
    assert plot(found, doubled=(1,)).startswith(b"\x89PNG")
    assert plot(found, doubled=(1,)) != plot(found)


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"layers": [{}]}', "{}"])
def test_a_file_that_is_no_report_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ConfigError, match=r"report\.json is no report of"):
        read_saturation(tmp_path / "report.json")


def test_the_command_writes_report_and_plot(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(
        Measurement(
            model=Model(path=str(tiny_model)),
            calibration=Calibration(texts=make_snapshot("stage2"), limit=5, batch=2, max_tokens=64),
            output=tmp_path / "out",
        )
    )
    found = read_saturation(tmp_path / "out" / "saturation.json")
    assert (found.texts, len(found.layers)) == (5, 2)
    assert (tmp_path / "out" / "saturation.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines() == list(found.lines())


def test_a_model_that_cannot_be_loaded_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    with pytest.raises(ConfigError, match="holds no model that can be loaded: ") as raised:
        calibrate(Model(path=str(tmp_path)), Calibration(texts=tmp_path / "texts.txt"))
    assert "\n" not in str(raised.value)
