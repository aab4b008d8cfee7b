"""Jobs: work of the fleet that is not an item of a run, asked for by a person and done once, by one worker."""

from enum import StrEnum


class JobKind(StrEnum):
    """What a job does; `snapshot` builds the snapshot of a run."""

    SNAPSHOT = "snapshot"


class JobState(StrEnum):
    """Where a job stands. Only an open one, which waits or is worked on, ever moves."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
