"""The statistics of a snapshot that people look at: of its rows, and of the run that brought them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kat_data.domain.run_statistics import RunStatistics, Votes
from kat_data.snapshots.survey.lengths import TOKEN_BYTES, Lengths

LENGTHS_PLOT: Final = "lengths.png"
VOTES_PLOT: Final = "votes.png"
PASSED_PLOT: Final = "passed.png"

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRows:
    """How many rows have a verdict."""

    verifier: str
    outcome: str
    status: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the rows hold (`lengths`, `scripts` and `verdicts` of them), and what the registry knew of their run."""

    lengths: tuple[Lengths, ...]
    scripts: dict[str, int]
    verdicts: tuple[VerdictRows, ...]
    run: RunStatistics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table with its title and what has to be known to read it; `plot` is the file that may show it."""

    title: str
    lines: list[Line]
    note: str = ""
    plot: str | None = None


def sections(statistics: Statistics, duplicates: int) -> Iterator[Section]:
    """Yield the statistics as tables; `duplicates` rows were left out because another held the same sample."""
    run = statistics.run
    yield _lengths(statistics)
    if run is not None and run.tokens:
        yield _tokens(run)
    if run is not None and run.votes is not None:
        yield _votes(run, run.votes)
    if run is not None and run.judged:
        yield _judged(run)
    if statistics.verdicts:
        yield Section(title="Verdicts on the rows", lines=[_plain(found) for found in statistics.verdicts])
    yield _languages(statistics)
    if run is not None:
        yield _duplicates(run, duplicates)
        yield _cost(run)


def _lengths(statistics: Statistics) -> Section:
    lines = [
        {"of": f.of, "texts": f.texts, **_counts(f), "characters": sum(f.characters.values())}
        for f in statistics.lengths
    ]
    note = f"Tokens are estimated: {TOKEN_BYTES} bytes of UTF-8 count as one. Quantiles are right to within 6 %."
    return Section(title="Lengths", lines=lines, note=note, plot=LENGTHS_PLOT)


def _tokens(run: RunStatistics) -> Section:
    lines = [
        {"mode": found.mode, "answers": found.answers, "counted": found.counted, **_counts(found)}
        for found in run.tokens
    ]
    note = "As the endpoints counted them; what several models wrote together has no count."
    return Section(title="Completion tokens of accepted answers", lines=lines, note=note)


def _votes(run: RunStatistics, votes: Votes) -> Section:
    lines = [
        {"voters": "all", "votes": votes.votes, "with the majority": "", "agreement of pairs": _share(votes.agreement)}
    ]
    lines += [
        {"voters": v.model, "votes": v.votes, "with the majority": _share(v.agreed / v.votes)} for v in run.voters
    ]
    kappa = f", Fleiss' kappa {votes.kappa:.2f}" if votes.kappa is not None else ""
    origins = ", ".join(f"{name} {count}" for name, count in run.origins.items())
    note = (
        f"{votes.turns} turns were voted on, {votes.unanimous} of them unanimously{kappa}. "
        f"Why turns have their mode: {origins}."
    )
    return Section(title="Votes on modes", lines=lines, note=note, plot=VOTES_PLOT)


def _judged(run: RunStatistics) -> Section:
    lines = [{**_plain(found), "pass rate": _share(found.correct / found.answers)} for found in run.judged]
    note = "Every candidate that was judged, by the last verdict on it, whether it was accepted or not."
    return Section(title="Pass rates of candidates", lines=lines, note=note, plot=PASSED_PLOT)


def _languages(statistics: Statistics) -> Section:
    tagged = statistics.run.languages if statistics.run is not None else {}
    if tagged:
        return Section(title="Languages", lines=_shares(tagged, "language"), note="As models tagged the queries.")
    note = "Nobody tagged languages: these are the letters of the prompts."
    return Section(title="Scripts", lines=_shares(statistics.scripts, "script"), note=note)


def _duplicates(run: RunStatistics, duplicates: int) -> Section:
    found = {
        "lines of the sources that held a known query": run.duplicates.exact,
        "queries left out that are nearly like a sample's": run.duplicates.near,
        "samples left out that are the same as another": duplicates,
    }
    return Section(title="Duplicates", lines=[{"duplicates": name, "count": count} for name, count in found.items()])


def _cost(run: RunStatistics) -> Section:
    line = {"samples": run.samples, "calls each": round(run.calls_per_sample, 2), "US$ each": run.usd_per_sample}
    note = "The run's accepted samples bear every call behind it, whoever paid it, in equal parts."
    return Section(title="Cost of an accepted sample", lines=[line], note=note)


def _counts(found: Any) -> Line:
    return {"tokens": found.tokens, "median": found.median, "90 %": found.p90, "99 %": found.p99, "most": found.longest}


def _shares(counts: Mapping[str, int], label: str) -> list[Line]:
    rows = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{label: name, "rows": count, "share": _share(count / rows)} for name, count in ordered]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _plain(record: Any) -> Line:
    return {name: getattr(record, name) for name in record.__slots__}
