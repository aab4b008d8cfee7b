"""What one check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it stands: `skipped` where something it needs failed before."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, in a line, and what to do about it, empty where all is well."""

    check: str
    level: Level
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check=check, level=Level.OK, found=found)


def warn(check: str, found: str, remedy: str) -> Finding:
    """Return that work is possible, and what is the matter all the same."""
    return Finding(check=check, level=Level.WARN, found=found, remedy=remedy)


def fail(check: str, found: str, remedy: str) -> Finding:
    """Return that something does not work."""
    return Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)


def skipped(check: str, needs: str) -> Finding:
    """Return that a check needs what failed before it."""
    return Finding(check=check, level=Level.SKIPPED, found=f"not looked at: it needs {needs}")
