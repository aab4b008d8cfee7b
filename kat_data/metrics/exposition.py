"""Metrics as text, for one look or over HTTP: the registry's, and those that processes of this machine left."""

import threading
from pathlib import Path
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from kat_data.errors import ConfigError
from kat_data.metrics.exporter import RegistryCollector
from kat_data.registry.session import Registry


def collectors(registry: Registry | None, folder: Path | None) -> CollectorRegistry:
    """Return what is served: the registry's metrics, the processes' in `folder`, or both."""
    found = CollectorRegistry()
    if registry is not None:
        found.register(RegistryCollector(registry))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        MultiProcessCollector(found, path=str(folder))  # type: ignore[no-untyped-call]
    return found


def exposition(found: CollectorRegistry) -> str:
    """Return the metrics in Prometheus' text format."""
    return generate_latest(found).decode()


def serve(found: CollectorRegistry, *, host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
    """Serve them at http://host:port/metrics from a thread; raises `ConfigError` where the port is not to be had."""
    try:
        return start_http_server(port, addr=host, registry=found)
    except OSError as error:
        raise ConfigError(f"nothing can listen at {host}:{port} ({error.strerror}): choose another --port") from error
