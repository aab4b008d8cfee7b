"""The broker that wakes Celery workers; without one, runs work in the process that starts them."""

from collections.abc import Iterator

from kat_data.doctor.finding import Finding, fail, ok
from kat_data.executors import embedded_broker
from kat_data.settings import Settings, mask_password

_SECONDS = 5
_INSTALL = "pip install 'kat-data[worker]'"


def look_at_broker(settings: Settings) -> Iterator[Finding]:
    """Whether the broker of KAT_BROKER_URL lets us in."""
    if settings.broker_url is None:
        state = "runs" if embedded_broker.running(settings.home) else "starts when workers need it"
        yield ok("broker", f"the embedded one in {settings.home / 'broker'} {state}; `kat run` alone needs none")
        return
    place = mask_password(settings.broker_url)
    try:
        from kombu import Connection
    except ImportError:
        yield fail("broker", f"{place} is set, and its client is not installed", f"run {_INSTALL}")
        return
    timeouts = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    options = timeouts if settings.broker_url.startswith("redi") else {}
    try:
        with Connection(settings.broker_url, connect_timeout=_SECONDS, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=_SECONDS)
            # Redis says whether a password is right, and whether it still loads its data, with the first command.
            connection.default_channel.queue_declare("kat-doctor", durable=False, auto_delete=True)
            connection.default_channel.queue_delete("kat-doctor")
    except ImportError as error:
        yield fail("broker", f"{place}: {error}", f"run {_INSTALL}")
    except Exception as error:  # every transport raises errors of its own
        reason = " ".join(mask_password(str(error)).split()) or type(error).__name__
        yield fail("broker", f"{place}: {reason}", "start it, or correct KAT_BROKER_URL")
    else:
        yield ok("broker", f"{place} answers")
