"""Runs of programs that print, whole and in words."""

from collections.abc import Sequence

from kat_data.errors import SandboxFault
from kat_data.sandbox.base import Ending, Loaded, Ran
from kat_data.verifiers.code.finding import ENDINGS


def run_all(loaded: Loaded, inputs: Sequence[bytes]) -> list[Ran]:
    """Run a program on the inputs up to the first that does not end cleanly; `SandboxFault` where a run is missing."""
    runs = loaded.run(inputs)
    if len(runs) < len(inputs) and (not runs or runs[-1].clean):
        raise SandboxFault("the sandbox left out a run")
    return runs


def ending(run: Ran) -> str:
    """Return in words how a run ended that was not clean."""
    if not run.compiled:
        return "the program does not compile"
    if run.ending is Ending.EXITED:
        return f"exit status {run.code}"
    return f"signal {run.code}" if run.ending is Ending.SIGNALLED else ENDINGS[run.ending].value.replace("_", " ")
