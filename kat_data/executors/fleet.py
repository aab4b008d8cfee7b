"""The client side of the fleet: hand a run over, and wake the first workers."""

from kat_data.errors import BrokerError
from kat_data.executors.broker import broker_url, make_app, wake
from kat_data.pipeline.fleet import hand_over
from kat_data.pipeline.recipe import parse_recipe
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.settings import Settings


def submit(registry: Registry, row: RunRow, settings: Settings) -> None:
    """Open the run to the fleet and wake a worker for it; the workers' reapers wake the others.

    Raises `BrokerError` where the broker is not there: the run is with the fleet all the same. Raises `UserError` where
    what decides the run's samples has changed since it was opened.
    """
    app = make_app(broker_url(settings))
    kind = hand_over(registry, row, parse_recipe(row.recipe, f"run {row.id}"))
    try:
        wake(app, row.id, kind)
    except BrokerError as error:
        raise BrokerError(
            f"{error}. Run {row.id} is with the workers, and begins when they have a broker; "
            f"`kat runs cancel {row.id}` takes it back"
        ) from error
    finally:
        app.close()
