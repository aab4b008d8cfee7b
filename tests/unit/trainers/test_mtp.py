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

from kat_data.errors import ConfigError
from trainers.mtp import Mtp, load_mtp

SHAPE = {
    "vocab_size": 50,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
KINDS = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=True)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen2 with a window": lambda: Qwen2ForCausalLM(
        Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=4, max_window_layers=1)
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
}


def build(kind: str = "qwen3", depths: int = 3) -> tuple[Any, Mtp]:
    torch.manual_seed(1)
    model = KINDS[kind]()
    mtp = Mtp(model, depths)
    with torch.no_grad():
        for weight in mtp.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval(), mtp.eval()


def states(model: Any, mtp: Mtp, ids: torch.Tensor, mask: torch.Tensor | None = None) -> list[torch.Tensor]:
    mask = torch.ones_like(ids) if mask is None else mask
    hidden = model.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    return list(mtp(model, hidden, ids, mask))


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_knows_the_tokens_up_to_its_depth_and_none_behind(kind: str) -> None:
    model, mtp = build(kind)
    ids = torch.randint(50, (1, 14))
    before = states(model, mtp, ids)
    assert [tuple(hidden.shape) for hidden in before] == [(1, 13, 64), (1, 12, 64), (1, 11, 64)]
    for changed in range(1, 14):
        other = ids.clone()
        other[0, changed] = (other[0, changed] + 1) % 50
        for k, (one, two) in enumerate(zip(before, states(model, mtp, other), strict=True), 1):
            same = (one - two).abs().amax(-1)[0] == 0
            # Place t has read the tokens up to t + k: its prediction, token t + k + 1, is not among them.
            assert same[: max(changed - k, 0)].all()
            if 0 <= changed - k < len(same):
                assert not same[changed - k]


def test_the_definition_written_out() -> None:
    model, mtp = build(depths=2)
    ids = torch.randint(50, (1, 9))
    hidden = model.get_decoder()(input_ids=ids).last_hidden_state
    for k, found in enumerate(states(model, mtp, ids), 1):
        module, size = mtp.depths[k - 1], 9 - k
        joined = torch.cat(
            [module.hidden_norm(hidden[:, :size]), module.embedding_norm(model.model.embed_tokens(ids[:, k:]))], -1
        )
        places = torch.arange(size)[None]
        lower = torch.full((size, size), float("-inf")).triu(1)[None, None]
        rotary = model.model.rotary_emb(joined, places)
        hidden = module.block(module.projection(joined), attention_mask=lower, position_embeddings=rotary)
        torch.testing.assert_close(found, module.norm(hidden))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side: str) -> None:
    model, mtp = build()
    ids = torch.randint(50, (1, 10))
    pad, tokens = torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 10, dtype=torch.long)
    padded = torch.cat([pad, ids] if side == "left" else [ids, pad], 1)
    mask = torch.cat([pad, tokens] if side == "left" else [tokens, pad], 1)
    start = 4 if side == "left" else 0
    for k, (alone, together) in enumerate(
        zip(states(model, mtp, ids), states(model, mtp, padded, mask), strict=True), 1
    ):
        torch.testing.assert_close(together[:, start : start + 10 - k], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_depth_teaches_the_model_below(checkpointing: bool) -> None:
    model, mtp = build()
    mtp.train()
    mtp.checkpointing = checkpointing
    ids = torch.randint(50, (2, 10))
    for k, hidden in enumerate(states(model, mtp, ids), 1):
        model.zero_grad()
        mtp.zero_grad()
        hidden.sum().backward(retain_graph=True)
        assert model.model.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0
        reached = [module.projection.weight.grad is not None for module in mtp.depths]
        assert reached == [depth <= k for depth in (1, 2, 3)]


def test_a_new_module_begins_as_the_last_layer() -> None:
    model = KINDS["qwen3"]()
    module = Mtp(model, 1).depths[0]
    last = model.model.layers[-1]
    assert all(a.equal(b) for a, b in zip(module.block.parameters(), last.parameters(), strict=True))
    assert module.block.self_attn.q_proj.weight.data_ptr() != last.self_attn.q_proj.weight.data_ptr()


def test_what_is_saved_beside_a_model_comes_back_and_the_model_stays_plain(tmp_path: Path) -> None:
    model, mtp = build()
    model.save_pretrained(tmp_path)
    assert load_mtp(model, tmp_path) is None
    mtp.save(tmp_path)
    mtp.save(tmp_path)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    plain, facts = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(facts[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    again = load_mtp(plain, tmp_path)
    assert again is not None
    ids = torch.randint(50, (1, 8))
    for one, two in zip(states(model, mtp, ids), states(plain.eval(), again.eval(), ids), strict=True):
        assert one.equal(two)
    with pytest.raises(ConfigError, match="no MTP modules of this shape"):
        Mtp(plain, 2).load(tmp_path)
