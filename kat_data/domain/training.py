"""Where a training run stands."""

from enum import StrEnum


class TrainingState(StrEnum):
    """A run that stopped can go on from its last checkpoint; of those that ended, the finished ones came to theirs."""

    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    FINISHED = "finished"
