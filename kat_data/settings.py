"""Settings: read once from the environment into a frozen object that knows where each value came from."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kat_data.errors import ConfigError
from kat_data.logs import FORMATS, LEVELS
from kat_data.redaction import hide

VARIABLES = {
    "KAT_HOME": "folder of the embedded Postgres and of local files",
    "KAT_DATABASE_URL": "a Postgres server (postgresql://user:password@host:port/database); unset: the embedded one",
    "KAT_BROKER_URL": "the broker of Celery workers (redis://host:port/0, amqp://user@host/); unset: the embedded one",
    "KAT_SANDBOX": "where programs run: auto (Docker where it is ready, else nowhere), docker, bwrap or none",
    "KAT_SANDBOX_IMAGE": "the Docker image of the sandbox: any with python3, and with g++ for C++",
    "KAT_SANDBOX_RUNTIME": "the Docker runtime of the sandbox, runsc for instance; unset: the engine's own",
    "KAT_SANDBOX_SLOTS": "how many programs run at the same time",
    "KAT_LOG": "structured logs on stderr: json, text, off, or auto (json in workers, off in `kat`)",
    "KAT_LOG_LEVEL": "the least level that is logged: debug, info, warning or error",
    "KAT_METRICS_DIR": "folder where processes leave latencies and the like for `kat metrics serve`; unset: nowhere",
    "KAT_HEARTBEAT": "file that a node of workers touches every two seconds while Postgres answers it; unset: none",
}
SANDBOXES = ("auto", "docker", "bwrap", "none")
_TEST_PREFIX = "KAT_TEST_"
_IN_CREDENTIALS = re.compile(r"(://[^/?:@]*:)[^/?]*(@)")
_IN_QUERY = re.compile(r"([?&][^=&]*password=)[^&]*", re.IGNORECASE)
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_BROKERS = ("redis", "rediss", "redis+socket", "amqp", "amqps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value as people see it: passwords masked, with the place it came from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says; `database_url` is a libpq URL, or none for the embedded Postgres in `home`.

    `broker_url` is that of what wakes Celery workers, or none for the embedded one in `home`. `sandbox` is one of
    `SANDBOXES`; its image is none for the standard one, its runtime none for the engine's own. `log` is one of
    `FORMATS`, `log_level` one of `LEVELS`; without `metrics_dir` processes leave no metrics behind,
    without `heartbeat` nodes no sign of life.
    """

    home: Path
    database_url: str | None
    broker_url: str | None
    sandbox: str
    sandbox_image: str | None
    sandbox_runtime: str | None
    sandbox_slots: int
    log: str
    log_level: str
    metrics_dir: Path | None
    heartbeat: Path | None
    origins: Mapping[str, str]

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> "Settings":
        """Read the settings; raises `ConfigError` where a variable is unknown or malformed."""
        environ = os.environ if environ is None else environ
        _refuse_unknown(environ)
        cwd = Path.cwd() if cwd is None else cwd
        home, home_origin = _home(environ, cwd)
        database_url, database_origin = _database_url(environ)
        sandbox = ("sandbox", "sandbox_image", "sandbox_runtime", "sandbox_slots")
        names = ("broker_url", *sandbox, "log", "log_level", "metrics_dir", "heartbeat")
        set_ = {name for name in names if environ.get(f"KAT_{name.upper()}")}
        origins = {name: f"KAT_{name.upper()}" if name in set_ else "default" for name in names}
        return cls(
            home=home,
            database_url=database_url,
            broker_url=_broker_url(environ),
            sandbox=_one_of(environ, "KAT_SANDBOX", SANDBOXES, "auto"),
            sandbox_image=environ.get("KAT_SANDBOX_IMAGE") or None,
            sandbox_runtime=environ.get("KAT_SANDBOX_RUNTIME") or None,
            sandbox_slots=_slots(environ),
            log=_one_of(environ, "KAT_LOG", FORMATS, "auto"),
            log_level=_one_of(environ, "KAT_LOG_LEVEL", LEVELS, "info"),
            metrics_dir=_path(environ, "KAT_METRICS_DIR", cwd),
            heartbeat=_path(environ, "KAT_HEARTBEAT", cwd),
            origins={"home": home_origin, "database_url": database_origin, **origins},
        )

    def shown(self) -> tuple[Setting, ...]:
        """Return every value with its origin, fit to be printed."""
        url = mask_password(self.database_url) if self.database_url else f"embedded, in {self.home / 'postgres'}"
        values = {
            "home": str(self.home),
            "database_url": url,
            "broker_url": mask_password(self.broker_url) if self.broker_url else f"embedded, in {self.home / 'broker'}",
            "sandbox": self.sandbox,
            "sandbox_image": self.sandbox_image or "the standard one",
            "sandbox_runtime": self.sandbox_runtime or "the engine's own",
            "sandbox_slots": str(self.sandbox_slots),
            "log": self.log,
            "log_level": self.log_level,
            "metrics_dir": str(self.metrics_dir or "nowhere"),
            "heartbeat": str(self.heartbeat or "none"),
        }
        return tuple(Setting(name=name, value=value, origin=self.origins[name]) for name, value in values.items())


def mask_password(url: str) -> str:
    """Return `url` with every password in it as `***`."""
    return _IN_QUERY.sub(r"\1***", _IN_CREDENTIALS.sub(r"\1***\2", url))


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        if not name.startswith("KAT_") or name.startswith(_TEST_PREFIX) or name in VARIABLES:
            continue
        near = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.6)
        known = f"did you mean {near[0]}?" if near else f"the known ones are {', '.join(VARIABLES)}."
        raise ConfigError(f"Unknown environment variable {name}: {known}")


def _home(environ: Mapping[str, str], cwd: Path) -> tuple[Path, str]:
    if named := environ.get("KAT_HOME"):
        return (cwd / Path(named).expanduser()).resolve(), "KAT_HOME"
    cwd = cwd.resolve()
    for folder in (cwd, *cwd.parents):
        if (folder / ".kat").is_dir():
            return folder / ".kat", f"the .kat folder found in {folder}"
    return cwd / ".kat", "default: .kat in the working directory"


def _database_url(environ: Mapping[str, str]) -> tuple[str | None, str]:
    url = environ.get("KAT_DATABASE_URL")
    if not url:
        return None, "default"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ConfigError("KAT_DATABASE_URL has to read postgresql://user:password@host:port/database.")
    _check_credentials(rest)
    return f"postgresql://{rest}", "KAT_DATABASE_URL"


def _check_credentials(rest: str) -> None:
    """Refuse a URL whose password would be taken for host or database, and so turn up in messages."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if rest.count("@") != authority.count("@") or rest.count("@") > 1 or re.search(r"%(?![0-9A-Fa-f]{2})", authority):
        raise ConfigError(
            "KAT_DATABASE_URL: of its password, write / ? # @ and % as %2F %3F %23 %40 and %25 "
            "(an @ anywhere else as %40, too)."
        )
    credentials = authority.rpartition("@")[0]
    hide(unquote(credentials.partition(":")[2]))


def _one_of(environ: Mapping[str, str], name: str, allowed: Sequence[str], default: str) -> str:
    given = environ.get(name) or default
    if given not in allowed:
        raise ConfigError(f"{name} has to be one of {', '.join(allowed)}; it is {given}.")
    return given


def _path(environ: Mapping[str, str], name: str, cwd: Path) -> Path | None:
    given = environ.get(name)
    return (cwd / Path(given).expanduser()).resolve() if given else None


def _broker_url(environ: Mapping[str, str]) -> str | None:
    url = environ.get("KAT_BROKER_URL") or None
    scheme, separator, _ = (url or "").partition("://")
    if url and (not separator or scheme not in _BROKERS or not _has_usable_port(url)):
        raise ConfigError(
            "KAT_BROKER_URL has to read redis://127.0.0.1:6379/0 or amqp://user:password@127.0.0.1:5672/vhost."
        )
    hide(unquote(urlsplit(url).password or "") if url else None)
    return url


def _has_usable_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _slots(environ: Mapping[str, str]) -> int:
    given = environ.get("KAT_SANDBOX_SLOTS")
    if not given:
        return os.cpu_count() or 1
    if not given.isdigit() or not int(given):
        raise ConfigError(f"KAT_SANDBOX_SLOTS has to be a number from 1 on; it is {given}.")
    return int(given)
