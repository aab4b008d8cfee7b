"""Multi-token prediction: modules beside a model that look further ahead (§3.1; DeepSeek-V3, arXiv 2412.19437).

Depth k reads what depth k-1 knew at place t and the token k places ahead, and predicts the one behind it:

    h'(k)_t = M_k [norm(h(k-1)_t); norm(Emb(x_{t+k}))]    h(k) = block_k(h'(k))    head(norm_k(h(k)_t)) -> x_{t+k+1}

h(0) is the model's last hidden state. The block is one layer of the model's own class and begins as a copy of its last
one. Embedding and head are the model's, the three norms are the module's own, as in DeepSeek's checkpoints; the last
begins as a copy of the model's.

The modules live outside the model and are saved in a folder of their own beside its weights: whatever loads, serves or
trains the checkpoint sees a plain one. (Servers load every weight file of the checkpoint's own folder.)
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from kat_data.errors import ConfigError

FOLDER: Final = "mtp"
_WEIGHTS: Final = "mtp.safetensors"
_FACTS: Final = "mtp.json"


class MtpModule(nn.Module):
    """One depth: joins a hidden state with the embedding of a later token, and runs one block."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        config, decoder = model.config, model.get_decoder()
        norm, last = decoder.norm, decoder.layers[-1]
        self.hidden_norm = type(norm)(config.hidden_size, eps=config.rms_norm_eps)
        self.embedding_norm = type(norm)(config.hidden_size, eps=config.rms_norm_eps)
        self.projection = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.block = type(last)(config, layer_idx=config.num_hidden_layers - 1)
        self.norm = type(norm)(config.hidden_size, eps=config.rms_norm_eps)
        nn.init.normal_(self.projection.weight, std=config.initializer_range)
        self.block.load_state_dict(last.state_dict())
        self.norm.load_state_dict(norm.state_dict())
        self.to(device=norm.weight.device, dtype=norm.weight.dtype)

    def forward(self, hidden: Tensor, embedded: Tensor, attention: Any, places: Tensor, rotary: Any) -> Tensor:
        joined = torch.cat([self.hidden_norm(hidden), self.embedding_norm(embedded)], dim=-1)
        out: Tensor = self.block(
            self.projection(joined), attention_mask=attention, position_ids=places, position_embeddings=rotary
        )
        return out


class Mtp(nn.Module):
    """All depths of one model; `checkpointing` runs each block again for its gradient, to save memory."""

    def __init__(self, model: Any, depths: int) -> None:
        super().__init__()
        self.depths = nn.ModuleList(MtpModule(model) for _ in range(depths))
        self.checkpointing = False

    def forward(self, model: Any, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Iterator[Tensor]:
        """Yield for k = 1, 2, … the normed states (B, T - k, H) whose place t predicts token t + k + 1.

        `hidden` (B, T, H) are the model's last ones, `attention_mask` (B, T) is 1 on tokens and 0 on padding. Of a
        padded row the places whose token ahead is padding hold nothing of use.
        """
        decoder, embedded = model.get_decoder(), model.get_input_embeddings()(input_ids)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        for k, module in enumerate(self.depths, 1):
            size = input_ids.shape[1] - k
            ahead, here = embedded[:, k:], places[:, :size]
            mask = attention_mask[:, :size] * attention_mask[:, k:]
            given = (hidden[:, :size], ahead, _attention(model.config, ahead, mask, here), here)
            rotary = decoder.rotary_emb(ahead, here)
            if self.checkpointing and self.training:
                hidden = checkpoint(module, *given, rotary, use_reentrant=False)
            else:
                hidden = module(*given, rotary)
            yield module.norm(hidden)

    def save(self, checkpoint_folder: Path, state: dict[str, Tensor] | None = None) -> None:
        """Write the modules beside a checkpoint; `state` are their weights where they were gathered elsewhere."""
        folder, unfinished = checkpoint_folder / FOLDER, checkpoint_folder / f".unfinished-{FOLDER}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        weights = {name: weight.contiguous() for name, weight in (state or self.state_dict()).items()}
        save_file(weights, unfinished / _WEIGHTS, metadata={"format": "pt"})
        facts = {"depths": len(self.depths), "block": type(self.depths[0].block).__name__}
        (unfinished / _FACTS).write_bytes(orjson.dumps(facts))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)

    def load(self, checkpoint_folder: Path) -> None:
        """Read the modules that stand beside a checkpoint into these; raises `ConfigError` where they do not fit."""
        try:
            self.load_state_dict(load_file(checkpoint_folder / FOLDER / _WEIGHTS))
        except (OSError, RuntimeError) as error:
            said = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{checkpoint_folder} holds no MTP modules of this shape: {said}") from error


def load_mtp(model: Any, checkpoint_folder: Path) -> Mtp | None:
    """Return the modules that were saved beside a checkpoint, for its loaded model; None where there are none."""
    facts = checkpoint_folder / FOLDER / _FACTS
    if not facts.exists():
        return None
    mtp = Mtp(model, orjson.loads(facts.read_bytes())["depths"])
    mtp.load(checkpoint_folder)
    return mtp


def _attention(config: Any, embedded: Tensor, mask: Tensor, places: Tensor) -> Any:
    """Return the mask of attention that the model's last layer has: causal, within its window where it has one."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    make = create_sliding_window_causal_mask if kinds[-1] == "sliding_attention" else create_causal_mask
    return make(config=config, inputs_embeds=embedded, attention_mask=mask, past_key_values=None, position_ids=places)
