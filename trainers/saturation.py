"""How saturated each layer of a model is: the cosine between what enters and what leaves it (§2).

    python -m trainers.saturation CONFIG.yaml [--set key=value]

A layer whose output points where its input did changes the residual stream little. Cosines are taken token by token in
fp32 while the model runs; of each text only sums are kept, so neither texts nor hidden states pile up.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from kat_data.errors import ConfigError
from trainers.architecture import first_line, layer_count, model_folder, read_config
from trainers.calibration import batches, texts
from trainers.config import Model
from trainers.launch import launch
from trainers.saturation_plot import plot

if TYPE_CHECKING:
    import torch

_WIDTH: Final = 1.96  # standard errors to either side: 95 % of a normal distribution
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "vocab.json")
REPORT: Final = "saturation.json"
PLOT: Final = "saturation.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer's cosines: mean and standard deviation over tokens, and a 95 % interval of the mean.

    The interval takes texts as what was drawn, for the tokens of one text are alike; there is none for a single text.
    """

    layer: int
    mean: float
    std: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """What was measured of a model: its layers in their order, and over how many texts and tokens."""

    model: str
    texts: int
    tokens: int
    layers: tuple[Layer, ...]

    @property
    def means(self) -> tuple[float, ...]:
        """The mean cosine of each layer, in the layers' order."""
        return tuple(layer.mean for layer in self.layers)

    @property
    def ranked(self) -> tuple[int, ...]:
        """The layers, the most saturated first."""
        return tuple(sorted(range(len(self.layers)), key=lambda layer: (-self.layers[layer].mean, layer)))

    def to_json(self) -> bytes:
        """Return the JSON in which it is kept; `ranked` stands in it for readers."""
        return orjson.dumps({**asdict(self), "ranked": self.ranked}, option=orjson.OPT_INDENT_2)

    def lines(self) -> Iterator[str]:
        """Yield a table for people, the most saturated layer first."""
        yield f"{self.model}: cosine of input and output by layer, over {self.texts:,} texts, {self.tokens:,} tokens"
        for layer in (self.layers[index] for index in self.ranked):
            interval = "" if layer.low is None else f"  [{layer.low:.4f}, {layer.high:.4f}]"
            yield f"  layer {layer.layer:>3}  {layer.mean:.4f}{interval}  std {layer.std:.4f}"


def read_saturation(file: Path) -> Saturation:
    """Read what `Saturation.to_json` wrote; raises `ConfigError` where the file is something else."""
    try:
        found = orjson.loads(file.read_bytes())
        layers = tuple(Layer(**layer) for layer in found["layers"])
        return Saturation(model=found["model"], texts=found["texts"], tokens=found["tokens"], layers=layers)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ConfigError(f"{file} is no report of `python -m trainers.saturation`") from None


def measure(model: Any, batches: Iterable[Any], *, name: str = "") -> Saturation:
    """Run the batches through a Hugging Face decoder, and return each layer's saturation; padding does not count.

    A batch has `input_ids` and `attention_mask`. The head is left out: logits are of no use here.
    """
    import torch

    body = model.base_model
    meter = _Meter(len(body.layers))
    device = body.get_input_embeddings().weight.device
    with torch.inference_mode(), _hooks(body.layers, meter):
        for batch in batches:
            meter.mask = batch["attention_mask"].bool()
            body(
                input_ids=batch["input_ids"].to(device),
                attention_mask=batch["attention_mask"].to(device),
                use_cache=False,
            )
    return meter.result(name)


@dataclass(slots=True)
class _Meter:
    """The sums of all layers: of each text its tokens, cosines and squares of cosines."""

    layers: int
    mask: "torch.Tensor" = field(init=False)
    tokens: list[list[float]] = field(init=False)
    sums: list[list[float]] = field(init=False)
    squares: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = [[] for _ in range(self.layers)]
        self.sums = [[] for _ in range(self.layers)]
        self.squares = [0.0] * self.layers

    def see(self, index: int, _: Any, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> None:
        """Add the cosines of one layer in one batch: a forward hook."""
        from torch.nn.functional import cosine_similarity

        before = args[0] if args else kwargs["hidden_states"]
        after = output[0] if isinstance(output, tuple) else output
        mask = self.mask.to(after.device)
        cosines = cosine_similarity(before.to(after.device).float(), after.float(), dim=-1).clamp(-1, 1).double()
        cosines = cosines.masked_fill(~mask, 0)
        self.tokens[index] += mask.sum(1).tolist()
        self.sums[index] += cosines.sum(1).tolist()
        self.squares[index] += float(cosines.square().sum())

    def result(self, name: str) -> Saturation:
        """Return what was measured; raises `ConfigError` where no token was."""
        texts, tokens = len(self.tokens[0]), sum(self.tokens[0])
        if not tokens:
            raise ConfigError("the calibration texts hold no token")
        layers = (
            _layer(index, self.tokens[index], self.sums[index], self.squares[index]) for index in range(self.layers)
        )
        return Saturation(model=name, texts=texts, tokens=int(tokens), layers=tuple(layers))


def _layer(index: int, tokens: Sequence[float], sums: Sequence[float], squares: float) -> Layer:
    """Return a layer's statistics from the sums of each text; the mean is a ratio of sums over texts."""
    total, texts = sum(tokens), len(tokens)
    mean = sum(sums) / total
    std = math.sqrt(max(squares / total - mean**2, 0.0))
    if texts < 2:
        return Layer(layer=index, mean=mean, std=std, low=None, high=None)
    residuals = sum((found - mean * count) ** 2 for found, count in zip(sums, tokens, strict=True))
    error = math.sqrt(residuals * texts / (texts - 1)) / total
    return Layer(layer=index, mean=mean, std=std, low=mean - _WIDTH * error, high=mean + _WIDTH * error)


@contextmanager
def _hooks(layers: Iterable[Any], meter: _Meter) -> Iterator[None]:
    handles = [
        layer.register_forward_hook(partial(meter.see, index), with_kwargs=True) for index, layer in enumerate(layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a model is measured on: the first `limit` texts at a path, each up to `max_tokens`, `batch` at a time."""

    texts: Path
    limit: int = 512
    max_tokens: int = 1024
    batch: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The configuration; `output` is the folder of `saturation.json` and `saturation.png`."""

    model: Model
    calibration: Calibration
    output: Path


def train(config: Measurement) -> None:
    """Measure, and write the report and its plot."""
    layer_count(read_config(config.model))
    check(config.model, config.calibration)
    found = calibrate(config.model, config.calibration)
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / REPORT).write_bytes(found.to_json())
    (config.output / PLOT).write_bytes(plot(found))
    print("\n".join(found.lines()))  # noqa: T201


def check(model: Model, calibration: Calibration) -> None:
    """Raise `ConfigError` where texts or the tokenizer are missing; the library would make up an empty tokenizer."""
    if not calibration.texts.exists():
        raise ConfigError(f"{calibration.texts} is not there: give calibration texts")
    folder = model_folder(model)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ConfigError(f"{model.path} has no tokenizer: none of {', '.join(_TOKENIZERS)} is there")


def calibrate(model: Model, calibration: Calibration) -> Saturation:
    """Load a model, on accelerators where there are some, and measure it."""
    import torch
    from tqdm import tqdm
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_folder(model)
    place = "auto" if torch.accelerator.is_available() else None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype, device_map=place).eval()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{model.path} holds no model that can be loaded: {first_line(error)}") from error
    found = batches(
        texts(calibration.texts, tokenizer),
        tokenizer,
        limit=calibration.limit,
        size=calibration.batch,
        max_tokens=calibration.max_tokens,
    )
    return measure(loaded, tqdm(found, desc="saturation", unit=" batches"), name=model.path)


if __name__ == "__main__":
    launch(train, Measurement, __doc__)
