"""The sandbox, with a program that really runs in it."""

import time
from collections.abc import Iterator

from kat_data.doctor.finding import Finding, fail, ok, warn
from kat_data.errors import SandboxFault, SandboxMissing
from kat_data.sandbox.base import Program
from kat_data.sandbox.open import open_sandbox
from kat_data.settings import Settings

_CHECK = "sandbox"
_UNVERIFIED = "programs stay `not verified` without one: install Docker and `kat sandbox build`, or KAT_SANDBOX=bwrap"


def look_at_sandbox(settings: Settings) -> Iterator[Finding]:
    """Whether programs can be run, and where."""
    try:
        yield _try(settings)
    except (SandboxMissing, SandboxFault) as error:
        if settings.sandbox == "auto":
            yield warn(_CHECK, f"none is at hand: {error}", _UNVERIFIED)
        else:
            yield fail(_CHECK, str(error), "set KAT_SANDBOX to one that is there, and try `kat sandbox check`")


def _try(settings: Settings) -> Finding:
    pool = open_sandbox(settings.sandbox, image=settings.sandbox_image, runtime=settings.sandbox_runtime)
    try:
        start = time.monotonic()
        [ran] = pool.judge(Program(source="print(6 * 7)"), lambda loaded: loaded.run([b""]))
        seconds = time.monotonic() - start
    finally:
        pool.close()
    if ran.stdout != b"42\n":
        ended = ran.stderr.strip()[-200:] or ran.ending
        return fail(_CHECK, f"{pool.name} does not run `print(6 * 7)`: {ended}", "try `kat sandbox check`")
    found = f"{pool.name} runs a program in {1000 * seconds:.0f} ms, {settings.sandbox_slots} at a time"
    if not pool.trusted:
        return warn(_CHECK, f"{found}; it isolates nothing", "take docker or bwrap: programs of models can be hostile")
    return ok(_CHECK, found)
