"""`kat metrics`: what Prometheus scrapes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from kat_data.cli.output import say
from kat_data.cli.registry import open_registry
from kat_data.errors import ConfigError
from kat_data.registry.session import Registry
from kat_data.settings import Settings

SOURCES = ("all", "registry", "processes")

only_option = click.option(
    "--only",
    type=click.Choice(SOURCES),
    default="all",
    show_default=True,
    help="The registry's metrics, those that processes of this machine left in KAT_METRICS_DIR, or all.",
)


@click.group()
def metrics() -> None:
    """Serve or print Prometheus metrics of runs, workers and calls."""


@metrics.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=9464, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@only_option
def serve(host: str, port: int, only: str) -> None:
    """Serve metrics at http://HOST:PORT/metrics until Ctrl-C or SIGTERM."""
    from kat_data.metrics import exposition

    with _sources(only) as sources:
        server, _ = exposition.serve(exposition.collectors(*sources), host=host, port=port)
        say(f"serving http://{host}:{server.server_port}/metrics")
        try:
            _until_told()
        finally:
            server.shutdown()
            server.server_close()


@metrics.command()
@only_option
def show(only: str) -> None:
    """Print the metrics once, in Prometheus' text format."""
    from kat_data.metrics import exposition

    with _sources(only) as sources:
        click.echo(exposition.exposition(exposition.collectors(*sources)), nl=False)


@contextmanager
def _sources(only: str) -> Iterator[tuple[Registry | None, Path | None]]:
    """Open what is asked for; raises `ConfigError` where processes alone are, and leave no metrics."""
    settings = Settings.load()
    if only == "processes" and settings.metrics_dir is None:
        raise ConfigError("processes leave no metrics: set KAT_METRICS_DIR to one folder, here and for the workers")
    folder = None if only == "registry" else settings.metrics_dir
    if only == "processes":
        yield None, folder
        return
    with open_registry() as registry:
        yield registry, folder


def _until_told() -> None:
    told = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: told.set())
    told.wait()
