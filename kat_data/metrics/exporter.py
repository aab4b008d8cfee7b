"""What Postgres knows of runs, as Prometheus metrics: a scrape is a handful of small queries, whatever runs hold."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import OperationalError

from kat_data.errors import RegistryError
from kat_data.logs import note
from kat_data.registry.overview import RunOverview, live_workers, newest_runs, overview
from kat_data.registry.session import Registry

RUNS_SHOWN = 50  # a run has some hundred series: the open ones come first, then the newest

_log = logging.getLogger(__name__)

_RUN = ("run", "recipe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """What one look at the registry has found."""

    runs: Sequence[RunOverview]
    workers: dict[str, int]


class RegistryCollector(Collector):
    """Reads the registry at every scrape; where it is away, `kat_registry_up` says so and nothing else is told."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering does not scrape

    def collect(self) -> Iterator[Metric]:
        scrape = self._scrape()
        yield GaugeMetricFamily("kat_registry_up", "Whether Postgres answered.", value=float(scrape is not None))
        if scrape is not None:
            yield from families(scrape)

    def _scrape(self) -> Scrape | None:
        try:
            with self._registry.engine.connect() as connection:
                runs = overview(connection, newest_runs(connection, RUNS_SHOWN))
                return Scrape(runs=runs, workers=live_workers(connection))
        except (RegistryError, OperationalError, psycopg.OperationalError) as error:
            note(_log, logging.WARNING, "metrics.registry_away", error=error)
            return None


def families(scrape: Scrape) -> Iterator[Metric]:
    """Return the metrics of a scrape; `_total` are counters since the run was opened."""
    yield _run_info(scrape.runs)
    yield _queue(scrape.runs)
    yield from _leases(scrape)
    yield from _work(scrape.runs)
    yield from _calls(scrape.runs)
    yield from _money(scrape.runs)


def _run_info(runs: Sequence[RunOverview]) -> Metric:
    state = GaugeMetricFamily("kat_run_state", "1 for the state that the run is in.", labels=(*_RUN, "state"))
    for run in runs:
        state.add_metric((*_names(run), run.state.value), 1)
    return state


def _queue(runs: Sequence[RunOverview]) -> Metric:
    items = GaugeMetricFamily("kat_queue_items", "Items of a run at a stage.", labels=(*_RUN, "stage", "state"))
    for run in runs:
        for tally in run.of("item"):
            items.add_metric((*_names(run), tally.name, tally.outcome), tally.count)
    return items


def _leases(scrape: Scrape) -> Iterator[Metric]:
    leases = GaugeMetricFamily("kat_leases", "Items that workers hold.", labels=(*_RUN, "state"))
    at_work = GaugeMetricFamily("kat_run_workers", "Live workers with an item in hand.", labels=_RUN)
    in_flight = GaugeMetricFamily("kat_calls_in_flight", "Calls that are reserved in the ledger.", labels=_RUN)
    for run in scrape.runs:
        leases.add_metric((*_names(run), "live"), run.leases)
        leases.add_metric((*_names(run), "expired"), run.expired)
        at_work.add_metric(_names(run), run.workers)
        in_flight.add_metric(_names(run), run.in_flight)
    alive = GaugeMetricFamily("kat_workers", "Live workers, by host.", labels=("host",))
    for host, count in scrape.workers.items():
        alive.add_metric((host,), count)
    yield from (leases, at_work, in_flight, alive)


def _work(runs: Sequence[RunOverview]) -> Iterator[Metric]:
    attempts = CounterMetricFamily("kat_stage_attempts", "Tries of stages.", labels=(*_RUN, "stage", "outcome"))
    seconds = CounterMetricFamily("kat_stage_busy_seconds", "Time in stages, added up.", labels=(*_RUN, "stage"))
    verdicts = CounterMetricFamily("kat_verdicts", "Verdicts on candidates.", labels=(*_RUN, "verifier", "outcome"))
    samples = CounterMetricFamily("kat_samples", "Accepted samples, by mode.", labels=(*_RUN, "mode"))
    for run in runs:
        for tally in run.of("attempt"):
            attempts.add_metric((*_names(run), tally.name, tally.outcome), tally.count)
        for stage in sorted({tally.name for tally in run.of("attempt")}):
            spent = sum(tally.seconds for tally in run.of("attempt") if tally.name == stage)
            seconds.add_metric((*_names(run), stage), spent)
        for tally in run.of("verdict"):
            verdicts.add_metric((*_names(run), tally.name, tally.outcome), tally.count)
        for tally in run.of("sample"):
            samples.add_metric((*_names(run), tally.name), tally.count)
    yield from (attempts, seconds, verdicts, samples)


def _calls(runs: Sequence[RunOverview]) -> Iterator[Metric]:
    labels = (*_RUN, "model", "source")
    calls = CounterMetricFamily("kat_calls", "Calls in the ledger.", labels=(*labels, "outcome"))
    tokens = CounterMetricFamily("kat_tokens", "Tokens of calls, prompt and completion together.", labels=labels)
    money = CounterMetricFamily("kat_cost_usd", "Dollars for calls; what recordings would cost.", labels=labels)
    for run in runs:
        for kind, source in (("call", "endpoint"), ("recorded_call", "recording")):
            for tally in run.of(kind):
                calls.add_metric((*_names(run), tally.name, source, tally.outcome), tally.count)
            for model in sorted({tally.name for tally in run.of(kind)}):
                of_model = [tally for tally in run.of(kind) if tally.name == model]
                tokens.add_metric((*_names(run), model, source), sum(tally.tokens for tally in of_model))
                money.add_metric((*_names(run), model, source), sum(tally.usd for tally in of_model))
    yield from (calls, tokens, money)


def _money(runs: Sequence[RunOverview]) -> Iterator[Metric]:
    lost = CounterMetricFamily("kat_cost_lost_usd", "Dollars for tries that brought no reply.", labels=_RUN)
    lost_tokens = CounterMetricFamily("kat_tokens_lost", "Tokens of tries that brought no reply.", labels=_RUN)
    spent = GaugeMetricFamily("kat_budget_usd", "Dollars: spent, reserved, and the cap.", labels=(*_RUN, "part"))
    tokens = GaugeMetricFamily("kat_budget_tokens", "Tokens: spent, reserved, and the cap.", labels=(*_RUN, "part"))
    for run in runs:
        lost.add_metric(_names(run), run.lost_usd)
        lost_tokens.add_metric(_names(run), run.lost_tokens)
        _add_parts(spent, run, {"spent": run.usd, "reserved": run.reserved_usd, "cap": run.cap_usd})
        _add_parts(tokens, run, {"spent": run.tokens, "reserved": run.reserved_tokens, "cap": run.cap_tokens})
    yield from (lost, lost_tokens, spent, tokens)


def _add_parts(family: GaugeMetricFamily, run: RunOverview, parts: dict[str, float | int | None]) -> None:
    for part, value in parts.items():
        if value is not None:
            family.add_metric((*_names(run), part), value)


def _names(run: RunOverview) -> tuple[str, str]:
    return str(run.run), run.name
