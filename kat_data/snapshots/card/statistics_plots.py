"""The plots of a snapshot's statistics: how long texts are, how models voted, how candidates were judged."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kat_data.domain.mode import Mode
from kat_data.domain.run_statistics import Judged, RunStatistics, Votes
from kat_data.snapshots.card.canvas import COLOURS, GREY, PLAIN, canvas, finish, note, png, short
from kat_data.snapshots.manifest import Manifest
from kat_data.snapshots.survey.lengths import PROMPT, Lengths
from kat_data.snapshots.survey.statistics import LENGTHS_PLOT, PASSED_PLOT, VOTES_PLOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN: Final = {
    LENGTHS_PLOT: "Prompts and answers by length, and their tokens in all",
    VOTES_PLOT: "Margins of the votes on modes, and how often each model votes with the majority",
    PASSED_PLOT: "Pass rates of candidates by category and mode",
}
"""The files that there can be, each with what it shows."""

_MOST: Final = 20
_MARGINS: Final = tuple(f"{tenth / 10:.1f}" for tenth in range(11))
_COLOURS: Final = {**COLOURS, PROMPT: GREY}


def statistics_plots(manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Yield file names and PNGs, of what there are statistics of."""
    statistics, label = manifest.unhashed.statistics, manifest.label
    if statistics is None:
        return
    if statistics.lengths:
        yield LENGTHS_PLOT, _lengths(statistics.lengths, label)
    run = statistics.run
    if run is not None and run.votes is not None:
        yield VOTES_PLOT, _votes(run, run.votes, label)
    if run is not None and run.judged:
        yield PASSED_PLOT, _passed(run.judged, label)


def _lengths(lengths: Sequence[Lengths], label: str) -> bytes:
    with canvas(3.4, f"{label}: lengths") as figure:
        left, right = figure.add_axes((0.06, 0.16, 0.5, 0.62)), figure.add_axes((0.68, 0.16, 0.27, 0.62))
        begins = _octaves({int(begin) for found in lengths for begin in found.histogram})
        for number, found in enumerate(lengths):
            shares = [100 * found.histogram.get(str(begin), 0) / found.texts for begin in begins]
            places = [place + (number - (len(lengths) - 1) / 2) * 0.27 for place in range(len(begins))]
            left.bar(places, shares, width=0.25, color=_COLOURS[found.of], label=found.of)
        left.set_xticks(range(len(begins)), [f"{begin:,}" for begin in begins], rotation=30)
        left.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1.06), ncols=3)
        finish(left, "Share of texts by tokens, each bin up to the next (%); estimated", along="y")
        _bars(right, [found.of for found in lengths], [found.tokens for found in lengths], "{:,.0f}")
        right.set_xlim(0, 1.35 * max(1, *(found.tokens for found in lengths)))
        right.set_xticks([])
        finish(right, "Tokens in all")
        return png(figure)


def _votes(run: RunStatistics, votes: Votes, label: str) -> bytes:
    voters = run.voters[:_MOST]
    height = max(3.4, 1.4 + 0.26 * len(voters))
    with canvas(height, f"{label}: votes on modes") as figure:
        bottom, high = 0.55 / height, (height - 1.3) / height
        left, right = figure.add_axes((0.06, bottom, 0.4, high)), figure.add_axes((0.72, bottom, 0.22, high))
        left.bar(_MARGINS, [100 * votes.margins.get(name, 0) / votes.turns for name in _MARGINS], color=PLAIN)
        finish(left, "Share of turns by the majority's margin, in tenths (%)", along="y")
        shares = [100 * voter.agreed / voter.votes for voter in voters]
        _bars(right, [short(voter.model) for voter in voters], shares, "{:.1f}")
        right.set_xlim(0, 118)
        finish(right, "Votes with the majority (%)")
        return png(figure)


def _passed(judged: Sequence[Judged], label: str) -> bytes:
    categories = list(dict.fromkeys(found.category for found in judged))
    height = 1.4 + 0.45 * len(categories)
    with canvas(height, f"{label}: candidates that a verifier found correct") as figure:
        axes = figure.add_axes((0.12, 0.5 / height, 0.8, (height - 1.3) / height))
        for number, mode in enumerate(Mode):
            mine = [found for found in judged if found.mode == mode]
            places = [categories.index(found.category) + (number - 0.5) * 0.36 for found in mine]
            shares = [100 * found.correct / found.answers for found in mine]
            axes.barh(places, shares, height=0.34, color=COLOURS[mode], label=mode.value)
            for place, share, found in zip(places, shares, mine, strict=True):
                note(axes, place, share, f"{share:.1f} % of {found.answers:,}")
        axes.set_yticks(range(len(categories)), categories)
        axes.set_ylim(len(categories) - 0.5, -0.5)
        axes.set_xlim(0, 118)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        finish(axes, "Pass rate by category and mode (%)")
        return png(figure)


def _octaves(begins: Collection[int]) -> list[int]:
    """Return where bins begin, also those between others that hold no text."""
    every = [0, *(1 << power for power in range(32))]
    return [begin for begin in every if min(begins) <= begin <= max(begins)]


def _bars(axes: "Axes", names: Sequence[str], ends: Sequence[float], form: str) -> None:
    axes.barh(range(len(names)), ends, color=[_COLOURS.get(name, PLAIN) for name in names])
    for place, end in enumerate(ends):
        note(axes, place, end, form.format(end))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
