"""Figures of an upscaling before anything is written, also of models that are not at hand."""

from pathlib import Path

import pytest

from trainers.config import load
from trainers.duplication import Init, by_saturation
from trainers.forecast import expected_tensors, forecast, size
from trainers.upscale import Upscale, deeper_shards, rehearse

CONFIGS = Path(__file__).parents[3] / "trainers" / "configs"


def test_the_papers_model_is_counted_without_a_byte_of_weights() -> None:
    config = load(CONFIGS / "upscale_32b_to_40b.yaml", Upscale)
    assert config.architecture is not None
    tensors = expected_tensors(config.architecture)
    plan = by_saturation([0.0] * 64, config.target_layers, config.init)
    found = forecast(tensors, deeper_shards(tensors, plan, config.shard_bytes))
    block = 5120 * (5120 * 2 + 1024 * 2 + 3 * 27648) + (5120 + 2 * 1024) + 2 * 5120
    assert found.source_parameters == 64 * block + 2 * 152064 * 5120 + 5120 == 32_763_876_352
    assert found.parameters == found.source_parameters + 16 * block == 40_565_560_320
    assert found.bytes_to_write == 2 * found.parameters
    assert found.shards == 17


def test_a_dry_run_tells_the_figures_and_writes_nothing(tmp_path: Path) -> None:
    config = load(CONFIGS / "upscale_32b_to_40b.yaml", Upscale, [f"output={tmp_path / 'out'}", "dry_run=true"])
    assert list(rehearse(config))[:-1] == [
        "64 -> 80 layers, by saturation: a dry run does not measure it",
        "source: 32,763,876,352 parameters, 65.5 GB",
        "result: 40,565,560,320 parameters (40.57 B)",
        "to be written: 81.1 GB in 17 files",
        "memory: 8.4 MB to write; 65.5 GB of weights, and one batch, to measure saturation",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_tied_head_is_counted_once() -> None:
    shape = {"model_type": "qwen3", "num_hidden_layers": 1, "vocab_size": 100, "hidden_size": 8, "head_dim": 4}
    shape |= {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16, "dtype": "float32"}
    tied, untied = (expected_tensors({**shape, "tie_word_embeddings": tie}) for tie in (True, False))
    assert set(untied) - set(tied) == {"lm_head.weight"}
    assert {tensor.dtype for tensor in tied.values()} == {"F32"}


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0.0 bytes"), (999, "999.0 bytes"), (1500, "1.5 kB"), (81_131_120_640, "81.1 GB")]
)
def test_sizes_are_told_in_powers_of_a_thousand(count: int, text: str) -> None:
    assert size(count) == text


def test_shipped_configurations_are_read() -> None:
    for file in CONFIGS.glob("upscale_*.yaml"):
        assert load(file, Upscale).init is Init.ZERO_OUT
