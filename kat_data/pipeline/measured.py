"""What labelled cases say of verifiers and of decontamination, measured once for as long as nothing changes it.

A result is kept in KAT_HOME under the hash of whatever decides it: the verifier's name and version, its cases, the
sources of the packages that it is made of, the versions of the libraries that it asks, and the sandbox.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar

from kat_data.decontam.measured import DecontaminationErrors, decontamination_errors
from kat_data.domain.codec import from_json, to_json
from kat_data.domain.query import VerifierKind
from kat_data.hashing import content_hash, file_sha256
from kat_data.sandbox.base import Sandbox
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.labelled import KINDS, ErrorRate, error_rates, named

Result = TypeVar("Result")

_FOLDER: Final = "measured"
_VERIFIER: Final = ("domain", "verifiers")
_PROGRAMS: Final = (*_VERIFIER, "sandbox")
_DECONTAMINATION: Final = ("domain", "decontam", "dedup")
_LIBRARIES: Final = ("latex2sympy2_extended", "math-verify", "numpy", "sympy")


class Measured(TypedDict):
    """The verifiers by name with the sha256 of their cases, and the errors of those that could be measured here."""

    verifiers: list[dict[str, Any]]
    error_rates: list[dict[str, Any]]


def measured_verifiers(programs: bool, open_sandbox: Callable[[], Sandbox | None], home: Path | None) -> Measured:
    """Return the error rates of all verifiers, that of programs where there are `programs` and a trusted sandbox.

    What was measured before is read from `home`; without one everything is measured, which takes some ten seconds.
    """
    kinds = [*KINDS, VerifierKind.CODE] if programs else list(KINDS)
    sandbox = open_sandbox() if programs else None
    with Verifiers(open_sandbox=lambda: sandbox) as verifiers, ExitStack() as stack:
        if sandbox is not None:
            stack.callback(sandbox.close)
        possible = kinds if sandbox is not None and sandbox.trusted else KINDS
        rates = [_error_rate(kind, verifiers, sandbox, home) for kind in possible]
    return Measured(verifiers=list(named(kinds).values()), error_rates=[asdict(rate) for rate in rates])


def measured_decontamination(home: Path | None) -> dict[str, Any]:
    """Return recall and precision of decontamination with the counts that they follow from, as JSON values."""
    found = _kept(home, ["decontamination", _code(_DECONTAMINATION)], DecontaminationErrors, decontamination_errors)
    return {"recall": round(found.recall, 4), "precision": round(found.precision, 4), **asdict(found)}


def _error_rate(kind: VerifierKind, verifiers: Verifiers, sandbox: Sandbox | None, home: Path | None) -> ErrorRate:
    programs = kind is VerifierKind.CODE
    decided_by = [
        named([kind])[kind.value],
        _code(_PROGRAMS if programs else _VERIFIER),
        sandbox.name if programs and sandbox is not None else None,
    ]
    return _kept(home, decided_by, ErrorRate, lambda: error_rates(verifiers, [kind])[kind.value])


def _kept(home: Path | None, decided_by: list[Any], kind: type[Result], measure: Callable[[], Result]) -> Result:
    if home is None:
        return measure()
    file = home / _FOLDER / f"{content_hash(decided_by).hex()}.json"
    with suppress(OSError, ValueError):  # not measured yet, or damaged
        return from_json(kind, file.read_bytes())
    result = measure()
    with suppress(OSError):  # nothing hangs on it: the next snapshot measures again
        _write(file, to_json(result))
    return result


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "wb") as unfinished:
        unfinished.write(data)
    Path(name).replace(file)


@cache
def _code(packages: tuple[str, ...]) -> str:
    """Return a hash of the packages' sources, of this Python and of the libraries that they ask."""
    root = Path(__file__).parents[1]
    files = sorted(path for package in packages for path in (root / package).rglob("*.py"))
    sources = [[path.relative_to(root).as_posix(), file_sha256(path).hex()] for path in files]
    libraries = [[name, version(name)] for name in _LIBRARIES]
    return content_hash([sources, libraries, sys.version]).hex()
