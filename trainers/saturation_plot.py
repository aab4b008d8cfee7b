"""The plot of a model's saturation: cosines by layer, and layers by their distance from the identity (§2).

The report shows no such figure; its reference for the analysis does (Yi, arXiv 2403.04652), of the tokens of one text
where these are means over many.
"""

from collections.abc import Collection
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from trainers.saturation import Layer, Saturation

_LAYER: Final = "#0072b2"  # Okabe and Ito's palette
_DOUBLED: Final = "#d55e00"
_DOTS_PER_INCH: Final = 120
_LEAST: Final = 1e-6  # what fp32 tells apart from the identity


def plot(found: "Saturation", doubled: Collection[int] = ()) -> bytes:
    """Return the PNG of a measurement, with 95 % intervals; `doubled` layers are marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.2), dpi=_DOTS_PER_INCH, layout="constrained")
    left, right = figure.subplots(1, 2)
    _by_layer(left, found.layers, doubled)
    _ranked(right, [found.layers[layer] for layer in found.ranked], doubled)
    title = f"{found.model}: saturation of {len(found.layers)} layers, {found.texts:,} texts, {found.tokens:,} tokens"
    figure.suptitle(title, size=10, parse_math=False)
    image = BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _by_layer(axes: "Axes", layers: Collection["Layer"], doubled: Collection[int]) -> None:
    places = [layer.layer for layer in layers]
    low = [max(layer.mean - layer.std, -1.0) for layer in layers]
    high = [min(layer.mean + layer.std, 1.0) for layer in layers]
    axes.fill_between(places, low, high, color=_LAYER, alpha=0.15, linewidth=0, label="standard deviation of tokens")
    axes.plot(places, [layer.mean for layer in layers], color=_LAYER, marker="o", markersize=3.5, label="mean")
    if chosen := [layer for layer in layers if layer.layer in doubled]:
        means = [layer.mean for layer in chosen]
        axes.plot([layer.layer for layer in chosen], means, "s", color=_DOUBLED, markersize=6, label="doubled")
    axes.set(xlabel="layer", ylabel="cosine of input and output")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False, fontsize=8)


def _ranked(axes: "Axes", layers: Collection["Layer"], doubled: Collection[int]) -> None:
    """Draw the distance from the identity, the most saturated layer first; the first quarter lies left of the line."""
    for rank, layer in enumerate(layers):
        colour = _DOUBLED if layer.layer in doubled else _LAYER
        far = max(1 - layer.mean, _LEAST)
        if layer.low is not None and layer.high is not None:
            axes.vlines(rank, max(1 - layer.high, _LEAST), max(1 - layer.low, _LEAST), color=colour, linewidth=2)
        axes.plot(rank, far, "o", color=colour, markersize=3.5)
        axes.annotate(str(layer.layer), (rank, far), (0, 6), textcoords="offset points", fontsize=6, ha="center")
    axes.axvline(len(layers) / 4 - 0.5, color="#999999", linestyle="--", linewidth=1, label="a quarter of the layers")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.set(xlabel="layers, the most saturated first", ylabel="1 − cosine", yscale="log", xticks=[])
    axes.grid(axis="y", alpha=0.3)
