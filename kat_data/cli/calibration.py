"""Calibrations and re-scored difficulty as tables."""

from collections.abc import Sequence

from kat_data.cli.output import print_table, say
from kat_data.domain.rank import Correlation
from kat_data.pipeline.calibration import CANDIDATES, Calibration, Violation
from kat_data.pipeline.rescore import Comparison

_MOST_CHANGED = 10


def print_calibrations(run: int, found: Sequence[Calibration]) -> None:
    """Print tagged difficulty against pass rates: one pair of tables for each set of measurements."""
    for each in found:
        rows = [[b.difficulty, b.queries, f"{b.mean:.3f}", interval(b.low, b.high)] for b in each.bins]
        title = f"run {run}: tagged difficulty of {each.queries} queries against pass rates of {each.basis}"
        print_table(["difficulty", "queries", "mean pass rate", "95 %"], rows, title=title)
        correlations = [[name, c.n, rho(c), interval(c.low, c.high)] for name, c in each.correlations.items()]
        title = "rank correlation with the pass rate: -1.000 is perfect, as harder is solved less often"
        print_table(["tagger", "queries", "Spearman", "95 %"], correlations, title=title)
        for violation in each.violations:
            say(_sentence(violation))
        if each.basis == CANDIDATES:
            say("answers are drawn until one is right: queries answered right at once are missing, so rates are low")


def print_comparison(found: Comparison) -> None:
    """Print how difficulty moved between two revisions."""
    title = f"{found.policy}, {found.mode}: {found.queries} queries measured by both revisions"
    rows: list[list[object]] = [
        ["mean pass rate", f"{found.mean_before:.3f}", f"{found.mean_after:.3f}"],
        *([f"difficulty {level}", before, after] for level, (before, after) in found.levels.items()),
    ]
    print_table(["what", found.old, found.new], rows, title=title)
    changed = [
        [each.query[:12], each.category, f"{each.before:.1f}", f"{each.after:.1f}", "yes" if each.clear else ""]
        for each in found.rescored[:_MOST_CHANGED]
    ]
    print_table(["query", "category", found.old, found.new, "clear"], changed, title="most changed difficulty")
    say(f"{found.easier} queries became clearly easier, {found.harder} clearly harder; rank correlation of difficulty")
    say(f"between the revisions: {rho(found.correlation)}")


def rho(found: Correlation) -> str:
    """Write a correlation, or that there is none."""
    return "none" if found.rho is None else f"{found.rho:+.3f}"


def interval(low: float | None, high: float | None) -> str:
    """Write an interval; empty where there is none."""
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _sentence(violation: Violation) -> str:
    doubt = "beyond the noise" if violation.clear else "within the noise"
    return (
        f"difficulty {violation.harder} is solved more often than {violation.easier}, by {violation.gap:.3f}: {doubt}"
    )
