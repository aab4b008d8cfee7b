"""The machine itself: versions, free disk, open files."""

import importlib.util
import platform
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from kat_data import __version__
from kat_data.doctor.finding import Finding, fail, ok, warn
from kat_data.pipeline.recipe import Recipe
from kat_data.settings import Settings

EXTRAS = {"worker": "celery", "litellm": "litellm", "dashboard": "streamlit", "train": "trl"}
"""What can be installed beside the base, each with the module that shows it."""

LOW_SHARE = 0.10
LOW_BYTES = 5 << 30
_OTHER_FILES = 256  # connections to Postgres, pipes of verifiers and sandbox slots, libraries


def look_at_versions() -> Iterator[Finding]:
    """What is installed."""
    there = [extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module)]
    extras = f"extras {', '.join(there)}" if there else "no extras"
    yield ok("versions", f"KAT Data {__version__}, Python {platform.python_version()}, {platform.system()}; {extras}")


def look_at_disk(settings: Settings) -> Iterator[Finding]:
    """How much room KAT_HOME has left."""
    yield free_space("disk", settings.home, "KAT_HOME")


def free_space(check: str, folder: Path, name: str) -> Finding:
    """Return how much room is left where `folder` is or would be; little is a warning."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    usage = shutil.disk_usage(there)
    if not usage.total:  # a file system that only pretends, such as /proc
        return fail(check, f"{folder} for {name} lies where no files can be", f"set {name} to a folder of your own")
    share = usage.free / usage.total
    found = f"{gibibytes(usage.free)} free of {gibibytes(usage.total)} ({share:.0%}) for {name}, {folder}"
    if usage.free < LOW_BYTES or share < LOW_SHARE:
        return warn(check, found, "make room: Postgres stops when its disk is full; `kat db size` shows what is large")
    return ok(check, found)


def look_at_open_files(recipe: Recipe | None) -> Iterator[Finding]:
    """Whether this process may open a socket for every call that the recipe has in flight."""
    at_once = sum(spec.concurrency for spec in recipe.endpoints.values()) if recipe else 0
    need = at_once + _OTHER_FILES
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "no limit" if allowed == resource.RLIM_INFINITY else f"{allowed:,} open files"
    found = f"{limit}; {need:,} are needed" + (f" with {at_once:,} calls in flight" if recipe else "")
    if allowed != resource.RLIM_INFINITY and allowed < need:
        higher = most == resource.RLIM_INFINITY or most >= need
        raise_ = f"run `ulimit -n {need}` in the shell that starts the run"
        yield warn("open files", found, raise_ if higher else f"{raise_}, once the hard limit of {most:,} is raised")
    else:
        yield ok("open files", found)


def gibibytes(size: int) -> str:
    """Write a size for people."""
    return f"{size / (1 << 30):,.1f} GiB"
