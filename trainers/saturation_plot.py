"""The curve of a model's saturation: cosine of input and output by layer, the doubled layers marked (§2).

The report shows no such figure. This one is drawn after its reference for the analysis (Yi, arXiv 2403.04652), with
means over many texts where that shows the tokens of one.
"""

from collections.abc import Collection
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trainers.saturation import Saturation

_LINE: Final = "#0072b2"  # Okabe and Ito's palette
_DOUBLED: Final = "#d55e00"
_DOTS_PER_INCH: Final = 120


def plot(found: "Saturation", doubled: Collection[int] = ()) -> bytes:
    """Return the PNG of a measurement: means with their intervals, the spread over tokens as a band."""
    from matplotlib.figure import Figure

    layers = [layer.layer for layer in found.layers]
    means = [layer.mean for layer in found.layers]
    figure = Figure(figsize=(8.0, 4.0), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(
        layers,
        [max(layer.mean - layer.std, -1.0) for layer in found.layers],
        [min(layer.mean + layer.std, 1.0) for layer in found.layers],
        color=_LINE,
        alpha=0.15,
        linewidth=0,
        label="one standard deviation over tokens",
    )
    below = [layer.mean - (layer.mean if layer.low is None else layer.low) for layer in found.layers]
    above = [(layer.mean if layer.high is None else layer.high) - layer.mean for layer in found.layers]
    axes.errorbar(
        layers,
        means,
        yerr=(below, above),
        color=_LINE,
        marker="o",
        markersize=3.5,
        linewidth=1,
        capsize=2,
        label="mean",
    )
    if doubled:
        chosen = sorted(doubled)
        axes.plot(chosen, [means[layer] for layer in chosen], "s", color=_DOUBLED, markersize=6, label="doubled")
    axes.set_xlabel("layer")
    axes.set_ylabel("cosine of input and output")
    axes.set_title(
        f"{found.model}: saturation over {found.texts:,} texts, {found.tokens:,} tokens", loc="left", size=10
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    image = BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()
