"""What `config.json` and names of tensors say of layers, in the source and in the deeper model."""

from pathlib import Path

import pytest

from kat_data.errors import ConfigError
from trainers.architecture import deeper_config, layer_count, origins, read_config
from trainers.config import Model
from trainers.duplication import Init, by_block, by_list

LAYER = (".self_attn.q_proj.weight", ".self_attn.o_proj.weight", ".self_attn.o_proj.bias", ".mlp.down_proj.weight")
NAMES = [
    "lm_head.weight",
    "model.embed_tokens.weight",
    *(f"model.layers.{layer}{name}" for layer in range(2) for name in LAYER),
    "model.norm.weight",
]


def test_every_tensor_of_the_deeper_model_has_an_origin_and_only_what_copies_write_is_zeroed() -> None:
    found = list(origins(NAMES, by_list(2, (1,), Init.ZERO_OUT)))
    assert [one.name for one in found] == [
        "model.embed_tokens.weight",
        *(f"model.layers.{layer}{name}" for layer in range(3) for name in LAYER),
        "lm_head.weight",
        "model.norm.weight",
    ]
    assert {one.name: one.source for one in found}["model.layers.2.mlp.down_proj.weight"].startswith("model.layers.1.")
    assert [one.name for one in found if one.zeroed] == [
        "model.layers.2.self_attn.o_proj.weight",
        "model.layers.2.self_attn.o_proj.bias",
        "model.layers.2.mlp.down_proj.weight",
    ]


def test_a_plain_copy_zeroes_nothing() -> None:
    assert not any(one.zeroed for one in origins(NAMES, by_list(2, (0, 1), Init.COPY)))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([*NAMES, "model.layers.2.mlp.down_proj.weight"], "the weights have 3 layers and config.json says 2"),
        (
            [name.replace("down_proj", "c_proj") for name in NAMES],
            "the weights have no layers.0.mlp.down_proj.weight: this is no decoder that can be upscaled",
        ),
        (
            [name for name in NAMES if name != "model.layers.1.self_attn.q_proj.weight"],
            "layer 1 and layer 0 differ in self_attn.q_proj.weight: the checkpoint is not whole",
        ),
    ],
)
def test_weights_that_cannot_be_upscaled_are_one_line(names: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        list(origins(names, by_list(2, (0,), Init.COPY)))
    assert str(raised.value) == line


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"model_type": "gpt2"}, "config.json: a gpt2 model cannot be upscaled: llama, qwen2, qwen3 can"),
        ({"model_type": "llama"}, "config.json: num_hidden_layers is missing"),
        (
            {"model_type": "qwen2", "num_hidden_layers": 2, "quantization_config": {}},
            "config.json: the model is quantised: give the weights that it was quantised from",
        ),
    ],
)
def test_models_that_cannot_be_upscaled_are_one_line(config: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        layer_count(config)
    assert str(raised.value) == line


def test_the_config_counts_the_layers_and_leaves_all_else() -> None:
    plan = by_list(2, (1,), Init.COPY)
    config = {"model_type": "llama", "num_hidden_layers": 2, "eos_token_id": [3, 4]}
    assert deeper_config(config, plan) == {**config, "num_hidden_layers": 3}


def test_each_layer_attends_as_its_original() -> None:
    config = {"num_hidden_layers": 3, "layer_types": ["full_attention", "sliding_attention", "full_attention"]}
    found = deeper_config(config, by_list(3, (1, 2), Init.COPY))
    assert found["layer_types"] == ["full_attention", *["sliding_attention"] * 2, *["full_attention"] * 2]


def test_a_window_that_begins_at_a_layer_begins_at_the_same_layer_of_the_deeper_model() -> None:
    config = {"num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}
    found = deeper_config(config, by_list(4, (0, 3), Init.COPY))
    assert found["max_window_layers"] == 3
    assert found["layer_types"] == ["full_attention"] * 3 + ["sliding_attention"] * 3


def test_a_block_on_both_sides_of_the_window_is_told_layer_by_layer() -> None:
    config = {"num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}
    found = deeper_config(config, by_block([0, 1, 1, 0], 6, Init.COPY))
    assert [kind[0] for kind in found["layer_types"]] == ["f", "f", "s", "f", "s", "s"]


def test_a_window_that_begins_behind_the_last_layer_still_does() -> None:
    config = {"num_hidden_layers": 2, "use_sliding_window": False, "sliding_window": 8, "max_window_layers": 2}
    found = deeper_config(config, by_list(2, (0,), Init.COPY))
    assert found["max_window_layers"] == 3
    assert "layer_types" not in found


def test_layer_types_of_another_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="layer_types has 1 entries for 2 layers"):
        deeper_config({"num_hidden_layers": 2, "layer_types": ["full_attention"]}, by_list(2, (0,), Init.COPY))


def test_a_folder_without_a_config_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json is no model's configuration"):
        read_config(Model(path=str(tmp_path)))


def test_a_name_that_is_no_folder_and_cannot_be_fetched_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError) as raised:
        read_config(Model(path="nobody/nothing"))
    assert str(raised.value).startswith("nobody/nothing is no folder, and cannot be fetched: ")
    assert "\n" not in str(raised.value)
