"""Executions: what a program did that an agent ran in its workspace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What was printed, errors last, and how it ended: empty where it ended well, else a few words."""

    output: str
    trouble: str = ""
