"""The snapshot's plot, after Figure 4: rows by category and mode, their difficulty, and the mixture's targets."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.errors import UserError
from kat_data.snapshots.card.canvas import COLOURS, GREY, PLAIN, canvas, finish, note, png, short
from kat_data.snapshots.composition import totals
from kat_data.snapshots.distribution import DIFFICULTIES, PASS_RATES, UNMEASURED, UNTAGGED, Distribution
from kat_data.snapshots.folder import plain_errors
from kat_data.snapshots.manifest import Manifest
from kat_data.snapshots.mixture import Reached, category_targets, compare
from kat_data.snapshots.read import Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UPPER: Final = 3.6
_LINE: Final = 0.26
_BELOW: Final = 0.35
_BETWEEN: Final = 0.35
_MOST_STRATA: Final = 40


def plot(manifest: Manifest, distribution: Distribution) -> bytes:
    """Return the PNG of a snapshot, whose rows are spread as `distribution` says."""
    reached = compare(distribution, manifest.hashed.rows)
    drawn = min(len(reached.strata), _MOST_STRATA)
    lower = _BELOW + drawn * _LINE + _BETWEEN if drawn else 0.0
    height = _UPPER + lower
    label = f"{manifest.label}: {manifest.hashed.rows:,} rows"
    with canvas(height, label) as figure:
        bottom, high = (lower + 0.6) / height, (_UPPER - 1.45) / height
        _categories(figure.add_axes((0.1, bottom, 0.42, high)), manifest, distribution)
        _difficulty(figure.add_axes((0.6, bottom, 0.385, high)), distribution)
        if drawn:
            _strata(figure.add_axes((0.36, _BELOW / height, 0.625, drawn * _LINE / height)), reached)
        return png(figure)


def plot_into(file: Path, snapshot: Snapshot) -> None:
    """Draw an opened snapshot into a PNG file of its own, also where its folder has no plot."""
    if file.suffix.lower() != ".png":
        raise UserError(f"{file}: the plot is a PNG, so name it like composition.png")
    image = plot(snapshot.manifest, snapshot.distribution())
    with plain_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)


def _categories(axes: "Axes", manifest: Manifest, distribution: Distribution) -> None:
    names = [category.value for category in Category]
    counts, rows = totals(manifest.hashed.composition, "category", "mode"), manifest.hashed.rows
    left = [0.0] * len(names)
    for mode, colour in COLOURS.items():
        shares = [100 * counts.get((name, mode), 0) / rows for name in names]
        if any(shares):
            axes.barh(names, shares, left=left, color=colour, label=mode or "no mode")
            left = [start + share for start, share in zip(left, shares, strict=True)]
    wanted = {names.index(name): by_mode for name, by_mode in category_targets(distribution.strata).items()}
    ends = {place: 100 * sum(by_mode.values()) for place, by_mode in wanted.items()}
    if wanted:
        _marks(axes, ends, "target", "solid")
    on = {place: 100 * by_mode.get(Mode.ON, 0.0) for place, by_mode in wanted.items() if "" not in by_mode}
    if on:
        _marks(axes, on, f"target of {Mode.ON.value}", (0, (1, 1)))
    for place, end in enumerate(left):
        note(axes, place, max(end, ends.get(place, 0.0)), f"{end / 100:.1%}")
    axes.set_xlim(0, 1.18 * max([*left, *ends.values()]))
    axes.invert_yaxis()
    finish(axes, "Share of rows by category and mode (%)")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.22, -0.1), ncols=4, frameon=False, columnspacing=1.2)


def _difficulty(axes: "Axes", distribution: Distribution) -> None:
    by_rate = any(name != UNMEASURED for name in distribution.pass_rate)
    title, bins, unknown, counts = (
        ("Share of rows by pass rate, in tenths (%)", PASS_RATES, UNMEASURED, distribution.pass_rate)
        if by_rate
        else ("Share of rows by difficulty, 1 to 10 (%)", DIFFICULTIES, UNTAGGED, distribution.difficulty)
    )
    names = [*bins, unknown] if unknown in counts else list(bins)
    shares = [100 * counts.get(name, 0) / sum(counts.values()) for name in names]
    places = [place + 0.7 * (name == unknown) for place, name in enumerate(names)]
    axes.bar(places, shares, color=[GREY if name == unknown else PLAIN for name in names])
    axes.set_xticks(places, names)
    finish(axes, title, along="y")


def _strata(axes: "Axes", reached: Reached) -> None:
    drawn = dict(enumerate(reached.strata[:_MOST_STRATA]))
    axes.barh(list(drawn), [100 * found.share for found in drawn.values()], color=PLAIN)
    _marks(axes, {place: 100 * found.target_share for place, found in drawn.items()}, "_", "solid")
    for place, found in drawn.items():
        note(axes, place, 100 * max(found.share, found.target_share), f"{found.share:.1%}, {found.state}")
    axes.set_yticks(list(drawn), [short(found.stratum) for found in drawn.values()])
    axes.set_ylim(len(drawn) - 0.5, -0.5)
    longest = max(max(found.share, found.target_share) for found in drawn.values())
    axes.set_xlim(0, 118 * (longest or 1.0))
    some = f", the first {len(drawn)} of {len(reached.strata)}" if len(drawn) < len(reached.strata) else ""
    finish(axes, f"Share of rows by stratum of the mixture{some} (%); the lines are targets")


def _marks(axes: "Axes", ends: Mapping[int, float], label: str, style: Any) -> None:
    """Mark the targets of bars, by place, with a line across each; a label of `_` stays out of the legend."""
    low, high = [place - 0.45 for place in ends], [place + 0.45 for place in ends]
    axes.vlines([*ends.values()], low, high, colors="black", linestyles=style, linewidths=2, label=label)
