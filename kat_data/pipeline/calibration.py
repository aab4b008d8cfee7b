"""How well tagged difficulty foretells what models can do: tags of a run against measured pass rates."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import sqrt
from statistics import mean, stdev

from sqlalchemy import Connection

from kat_data.domain.proportion import Z95
from kat_data.domain.rank import Correlation, spearman
from kat_data.errors import UserError
from kat_data.registry import pass_rates, runs
from kat_data.registry.pass_rates import WAY, Row

FEWEST_ANSWERS = 2
_FEWEST_FOR_INTERVAL = 5
MEDIAN = "median"
FIRST = "the run's first answers"
CANDIDATES = "the run's own answers, where there are several"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The queries tagged with one difficulty (the median, rounded): their mean pass rate with a 95 % interval."""

    difficulty: int
    queries: int
    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Two neighbouring levels in the wrong order: the harder is solved more often.

    `clear` where their intervals do not meet.
    """

    easier: int
    harder: int
    gap: float
    clear: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Tags against one set of pass rates.

    `correlations` are Spearman's, by tagger and for their median: -1 is perfect, as harder means solved less often.
    """

    basis: str
    queries: int
    bins: tuple[Bin, ...]
    correlations: dict[str, Correlation]
    violations: tuple[Violation, ...]


def calibrate(connection: Connection, run: int) -> list[Calibration]:
    """Return a calibration for each policy's revision that measured the run's queries, then for the run's own answers.

    The first answer of each query gives the level's pass rate without bias; several answers rank queries finer, but
    those that were answered right at once are missing.
    Raises `UserError` where the run has no tags, or nothing was measured of its queries.
    """
    runs.get_run(connection, run)
    tagged = pass_rates.tagged_difficulties(connection, run)
    if not tagged:
        raise UserError(f"run {run} has no tags: calibration compares the stage `tag` with pass rates")
    found = [
        calibration(basis, tagged, rates) for basis, rates in _bases(connection, run).items() if _share(rates, tagged)
    ]
    if not found:
        raise UserError(
            f"nothing was measured of the queries of run {run}: run a recipe with the stage pass_rate over them"
        )
    return found


def _share(rates: Mapping[int, float], tagged: Sequence[Row]) -> bool:
    return any(row["query_id"] in rates for row in tagged)


def _bases(connection: Connection, run: int) -> dict[str, dict[int, float]]:
    bases: dict[str, dict[int, float]] = defaultdict(dict)
    for row in pass_rates.measured_of_run(connection, run):
        if row["rate"] is not None:
            bases[way(row)][row["query_id"]] = row["rate"]
    for row in pass_rates.first_answers(connection, run):
        bases[FIRST][row["query_id"]] = row["rate"]
    for row in pass_rates.verified_candidates(connection, run, fewest=FEWEST_ANSWERS):
        bases[CANDIDATES][row["query_id"]] = row["correct"] / (row["correct"] + row["incorrect"])
    return bases


def way(row: Row) -> str:
    """Return in words whose rollouts a measurement holds, and how they were asked."""
    found = {name: row[name] for name in WAY}
    asked = f"{found['mode']}{', prompted' if found['prompted'] else ''}"
    sampling = f"temperature {found['temperature']:g}, top_p {found['top_p']:g}, {found['max_tokens']} tokens"
    return f"{found['policy']}@{found['revision']} ({asked}, {sampling})"


def calibration(basis: str, tagged: Sequence[Row], rates: Mapping[int, float]) -> Calibration:
    """Compare tags with pass rates by query; both may hold queries that the other lacks."""
    series: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    medians: dict[int, float] = {}
    for query, rows in groupby((row for row in tagged if row["query_id"] in rates), key=lambda row: row["query_id"]):
        mine = list(rows)
        medians[query] = mine[0]["median"]
        for name, row in _named(mine):
            series[name][0].append(row["difficulty"])
            series[name][1].append(rates[query])
    correlations = {name: spearman(*pairs) for name, pairs in series.items()}
    correlations[MEDIAN] = spearman(list(medians.values()), [rates[query] for query in medians])
    bins = _bins(medians, rates)
    return Calibration(
        basis=basis,
        queries=len(medians),
        bins=bins,
        correlations=correlations,
        violations=tuple(_violations(bins)),
    )


def _named(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Taggers by name; a model that is listed several times by its name and number."""
    named: list[tuple[str, Row]] = []
    for index, row in enumerate(rows):
        number = sum(earlier["model"] == row["model"] for earlier in rows[:index]) + 1
        named.append((row["model"] if number == 1 else f"{row['model']} #{number}", row))
    return named


def _bins(medians: Mapping[int, float], rates: Mapping[int, float]) -> tuple[Bin, ...]:
    by_level: dict[int, list[float]] = defaultdict(list)
    for query, difficulty in medians.items():
        by_level[int(difficulty + 0.5)].append(rates[query])
    return tuple(_bin(level, by_level[level]) for level in sorted(by_level))


def _bin(level: int, rates: Sequence[float]) -> Bin:
    middle = mean(rates)
    if len(rates) < _FEWEST_FOR_INTERVAL:
        return Bin(difficulty=level, queries=len(rates), mean=middle)
    half = Z95 * stdev(rates) / sqrt(len(rates))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Bin(difficulty=level, queries=len(rates), mean=middle, low=low, high=high)


def _violations(bins: Sequence[Bin]) -> list[Violation]:
    return [
        Violation(
            easier=easier.difficulty,
            harder=harder.difficulty,
            gap=harder.mean - easier.mean,
            clear=easier.high is not None and harder.low is not None and harder.low > easier.high,
        )
        for easier, harder in pairwise(bins)
        if harder.mean > easier.mean
    ]
