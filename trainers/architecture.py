"""What depth upscaling knows of a model: where its `config.json` and the names of its tensors speak of layers."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from kat_data.errors import ConfigError
from trainers.config import Model
from trainers.duplication import Init, Plan

CONFIG: Final = "config.json"
KNOWN: Final = ("llama", "qwen2", "qwen3")
_LAYER: Final = re.compile(r"(?P<before>.*\blayers\.)(?P<layer>\d+)(?P<behind>\..+)")
_WRITERS: Final = re.compile(r"\.(self_attn\.o_proj|mlp\.down_proj)\.(weight|bias)")
"""The tensors through which a layer writes to the residual stream; a layer in which they are zero is the identity."""
_NEEDED: Final = (".self_attn.o_proj.weight", ".mlp.down_proj.weight")


class Origin(NamedTuple):
    """Where a tensor of the deeper model comes from; a zeroed one has its origin's shape and type alone."""

    name: str
    source: str
    zeroed: bool


def model_folder(model: Model, *patterns: str) -> Path:
    """Return the folder of a model's files; what the Hub's cache has not is fetched, of `patterns` alone if given.

    Raises `ConfigError` where the model is neither a folder nor can be fetched.
    """
    folder = Path(model.path)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    wanted = patterns or ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.model", "LICENSE*", "NOTICE*")
    try:
        return Path(snapshot_download(model.path, revision=model.revision, allow_patterns=list(wanted)))
    except Exception as error:  # of many libraries: no such name, no network, no room
        raise ConfigError(f"{model.path} is no folder, and cannot be fetched: {first_line(error)}") from error


def read_config(model: Model) -> dict[str, Any]:
    """Return the model's `config.json`; raises `ConfigError` where there is none."""
    file = model_folder(model, CONFIG) / CONFIG
    try:
        found = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{file} is no model's configuration")
    return found


def layer_count(config: Mapping[str, Any]) -> int:
    """Return how many layers a supported model has; raises `ConfigError` with one line on any other model."""
    kind = config.get("model_type")
    if kind not in KNOWN:
        raise ConfigError(f"config.json: a {kind} model cannot be upscaled: {', '.join(KNOWN)} can")
    if "quantization_config" in config:
        raise ConfigError("config.json: the model is quantised: give the weights that it was quantised from")
    layers = config.get("num_hidden_layers")
    if not isinstance(layers, int) or layers < 1:
        raise ConfigError("config.json: num_hidden_layers is missing")
    return layers


def deeper_config(config: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return `config.json` of the deeper model: every copy attends as its original does."""
    found = {**config, "num_hidden_layers": len(plan.sources)}
    if types := _layer_types(config, plan.layers):
        found["layer_types"] = [types[source] for source in plan.sources]
    if (full := config.get("max_window_layers")) is not None:
        within = sum(source < full for source in plan.sources)
        found["max_window_layers"] = within + max(0, full - plan.layers)
    return found


def origins(names: Iterable[str], plan: Plan) -> Iterator[Origin]:
    """Yield every tensor of the deeper model, layer by layer; raises `ConfigError` where the layers are not alike."""
    layers, others = _by_layer(names)
    _check(layers, plan)
    yield from (Origin(name, name, False) for name in others if "embed" in name)
    copies = set(plan.copies)
    for place, source in enumerate(plan.sources):
        for before, behind in layers[source]:
            zeroed = plan.init is Init.ZERO_OUT and place in copies and bool(_WRITERS.fullmatch(behind))
            yield Origin(f"{before}{place}{behind}", f"{before}{source}{behind}", zeroed)
    yield from (Origin(name, name, False) for name in others if "embed" not in name)


def _layer_types(config: Mapping[str, Any], layers: int) -> list[str] | None:
    """Return each layer's kind of attention where it is stated or matters.

    A sliding window begins at `max_window_layers`: a block's copy may lie on both sides of it, which that one number
    cannot say of the deeper model.
    """
    if types := config.get("layer_types"):
        if len(types) != layers:
            raise ConfigError(f"config.json: layer_types has {len(types)} entries for {layers} layers")
        return list(types)
    if config.get("use_sliding_window") and config.get("sliding_window"):
        full = config.get("max_window_layers", layers)
        return ["full_attention" if layer < full else "sliding_attention" for layer in range(layers)]
    return None


def _by_layer(names: Iterable[str]) -> tuple[dict[int, list[tuple[str, str]]], list[str]]:
    """Return what stands around the number in the names of each layer's tensors, and the names without a layer."""
    layers: dict[int, list[tuple[str, str]]] = defaultdict(list)
    others = []
    for name in names:
        if match := _LAYER.fullmatch(name):
            layers[int(match["layer"])].append((match["before"], match["behind"]))
        else:
            others.append(name)
    return layers, others


def _check(layers: Mapping[int, list[tuple[str, str]]], plan: Plan) -> None:
    if sorted(layers) != list(range(plan.layers)):
        raise ConfigError(f"the weights have {len(layers)} layers and config.json says {plan.layers}")
    first = {behind for _, behind in layers[0]}
    if missing := [name for name in _NEEDED if name not in first]:
        raise ConfigError(f"the weights have no layers.0{missing[0]}: this is no decoder that can be upscaled")
    for layer, parts in layers.items():
        if odd := first ^ {behind for _, behind in parts}:
            raise ConfigError(f"layer {layer} and layer 0 differ in {min(odd)[1:]}: the checkpoint is not whole")


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, which with the libraries is the one that tells."""
    return str(error).strip().partition("\n")[0]
