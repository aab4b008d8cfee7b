"""What only a process knows, as Prometheus metrics: latencies, retries, the sizes of group commits.

Every process leaves its numbers in one folder, in files that survive it; `kat metrics serve` adds them up.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kat_data.errors import ConfigError
from kat_data.observer import UNOBSERVED, Observer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own; it is read when its modules are loaded

_CALL_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_STEP_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
_COMMIT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)
_GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def open_observer(folder: Path | None) -> Observer:
    """Return the observer of this process, which writes into `folder`; without one nobody listens.

    Raises `ConfigError` where the folder cannot be made.
    """
    if folder is None:
        return UNOBSERVED
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"KAT_METRICS_DIR: {folder} cannot be made ({error.strerror}): name another folder"
        ) from error
    use_folder(folder)
    from prometheus_client import REGISTRY

    return PrometheusObserver(REGISTRY)


def use_folder(folder: Path) -> None:
    """Have prometheus_client keep its values in `folder`; raises `ConfigError` where it was loaded without one."""
    os.environ[FOLDER_VARIABLE] = str(folder)
    from prometheus_client import values

    if values.ValueClass is values.MutexValue:
        raise ConfigError("KAT_METRICS_DIR has to be known before prometheus_client is loaded in this process")


class PrometheusObserver:
    """Satisfies `Observer`. Labels are endpoints, models, stages, verifiers and outcomes: never runs or queries."""

    def __init__(self, registry: "CollectorRegistry") -> None:
        from prometheus_client import Counter, Histogram

        self._calls = Histogram(
            "kat_call_seconds",
            "One request to an endpoint, by how it went.",
            ("endpoint", "model", "outcome"),
            buckets=_CALL_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "kat_call_tokens",
            "Tokens of answered requests.",
            ("endpoint", "model", "direction"),
            registry=registry,
        )
        self._reused = Counter(
            "kat_calls_reused",
            "Calls that the ledger, or another caller, had answered already.",
            ("endpoint", "model"),
            registry=registry,
        )
        self._commits = Histogram(
            "kat_commit_seconds",
            "One transaction that a group of operations shared.",
            ("kind",),
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        self._sizes = Histogram(
            "kat_commit_operations",
            "How many operations shared a transaction.",
            ("kind",),
            buckets=_GROUP_SIZES,
            registry=registry,
        )
        self._stages = Histogram(
            "kat_stage_seconds",
            "One try of a stage, its calls included.",
            ("stage", "outcome"),
            buckets=_STEP_SECONDS,
            registry=registry,
        )
        self._verifiers = Histogram(
            "kat_verify_seconds",
            "One answer judged, the wait for a free thread included.",
            ("verifier",),
            buckets=_STEP_SECONDS,
            registry=registry,
        )

    def tried(
        self,
        endpoint: str,
        model: str,
        outcome: str,
        seconds: float,
        *,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None:
        self._calls.labels(endpoint, model, outcome).observe(seconds)
        if prompt_tokens:
            self._tokens.labels(endpoint, model, "prompt").inc(prompt_tokens)
        if completion_tokens:
            self._tokens.labels(endpoint, model, "completion").inc(completion_tokens)

    def reused(self, endpoint: str, model: str) -> None:
        self._reused.labels(endpoint, model).inc()

    def committed(self, kind: str, operations: int, seconds: float) -> None:
        self._commits.labels(kind).observe(seconds)
        self._sizes.labels(kind).observe(operations)

    def staged(self, stage: str, outcome: str, seconds: float) -> None:
        self._stages.labels(stage, outcome).observe(seconds)

    def verified(self, verifier: str, seconds: float) -> None:
        self._verifiers.labels(verifier).observe(seconds)
