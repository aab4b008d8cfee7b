"""Which layers are doubled: the plan from a model's layers to those of a deeper one (§2).

The paper doubles saturated layers, and does not say where the copies stand. Here a copy stands right behind its
original; `block` is what the paper's reference for the analysis does (Yi, arXiv 2403.04652): one contiguous block whose
copy stands behind the whole block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kat_data.errors import ConfigError


class Init(StrEnum):
    """What a copy begins as: its original, or a layer that adds nothing to the residual stream."""

    COPY = "copy"
    ZERO_OUT = "zero_out"


class Choice(StrEnum):
    """By what the doubled layers are chosen."""

    SATURATED = "saturated"
    BLOCK = "block"
    LISTED = "listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Layer i of the deeper model is layer `sources[i]` of the source; where i is in `copies`, it is a copy.

    `saturation` is the mean cosine by layer of the source by which the layers were chosen; empty where they were
    listed.
    """

    sources: tuple[int, ...]
    copies: tuple[int, ...]
    init: Init
    choice: Choice
    saturation: tuple[float, ...] = ()

    @property
    def layers(self) -> int:
        """How many layers the source has."""
        return len(self.sources) - len(self.copies)

    @property
    def doubled(self) -> tuple[int, ...]:
        """The layers of the source that have a copy, in their order."""
        return tuple(sorted({self.sources[copy] for copy in self.copies}))

    def places(self, layer: int) -> tuple[int, tuple[int, ...]]:
        """Return where a layer of the source stands in the deeper model, and where its copies do."""
        copies = set(self.copies)
        at = [place for place, source in enumerate(self.sources) if source == layer]
        return next(p for p in at if p not in copies), tuple(p for p in at if p in copies)

    def lines(self) -> Iterator[str]:
        """Yield the plan for people: a line for the whole, and one for each layer that is doubled."""
        yield (
            f"{self.layers} -> {len(self.sources)} layers: {len(self.doubled)} are doubled"
            f" (choice: {self.choice}, init: {self.init})"
        )
        for layer in self.doubled:
            original, copies = self.places(layer)
            cosine = f"  cosine {self.saturation[layer]:.4f}" if self.saturation else ""
            yield f"  layer {layer:>3}{cosine}  stands at {original:>3}, copied to {', '.join(map(str, copies))}"

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "layers": self.layers,
            "target_layers": len(self.sources),
            "init": self.init.value,
            "choice": self.choice.value,
            "doubled": list(self.doubled),
            "sources": list(self.sources),
            "copies": list(self.copies),
            "saturation": list(self.saturation),
        }


def by_saturation(saturation: Sequence[float], target: int, init: Init) -> Plan:
    """Double the most saturated layers, each once before any is copied twice; raises `ConfigError`."""
    layers = len(saturation)
    rounds, rest = divmod(_extra(layers, target), layers)
    ranked = sorted(range(layers), key=lambda layer: (-saturation[layer], layer))
    counts = [rounds] * layers
    for layer in ranked[:rest]:
        counts[layer] += 1
    return _behind_originals(counts, init, Choice.SATURATED, saturation)


def by_block(saturation: Sequence[float], target: int, init: Init) -> Plan:
    """Double the contiguous block of the greatest mean saturation, its copy behind the block; raises `ConfigError`."""
    layers, extra = len(saturation), _extra(len(saturation), target)
    if extra > layers:
        raise ConfigError(f"target_layers: {target}: a block doubles at most all {layers} layers: take {2 * layers}")
    first = max(range(layers - extra + 1), key=lambda start: sum(saturation[start : start + extra]))
    end = first + extra
    return Plan(
        sources=(*range(end), *range(first, end), *range(end, layers)),
        copies=tuple(range(end, end + extra)),
        init=init,
        choice=Choice.BLOCK,
        saturation=tuple(saturation),
    )


def by_list(layers: int, doubled: Sequence[int], init: Init) -> Plan:
    """Double the listed layers, as often as each is listed; raises `ConfigError` where the model has no such layer."""
    if unknown := sorted({layer for layer in doubled if not 0 <= layer < layers}):
        raise ConfigError(f"doubled: {unknown[0]}: the model's layers are 0 to {layers - 1}")
    return _behind_originals([doubled.count(layer) for layer in range(layers)], init, Choice.LISTED, ())


def _extra(layers: int, target: int) -> int:
    if target <= layers:
        raise ConfigError(f"target_layers: {target}: the model has {layers} layers already: give more")
    return target - layers


def _behind_originals(counts: Sequence[int], init: Init, choice: Choice, saturation: Sequence[float]) -> Plan:
    """Return the plan that puts so many copies of each layer right behind it."""
    sources = [layer for layer, count in enumerate(counts) for _ in range(count + 1)]
    copies = [place for place, layer in enumerate(sources) if place and sources[place - 1] == layer]
    return Plan(sources=tuple(sources), copies=tuple(copies), init=init, choice=choice, saturation=tuple(saturation))
