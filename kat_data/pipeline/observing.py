"""What a run tells of itself while it goes on: how long verifying takes."""

from kat_data.clock import Clock
from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Verdict
from kat_data.observer import Observer
from kat_data.stages.stage import Verify


def timed(verify: Verify, observer: Observer, clock: Clock) -> Verify:
    """Return `verify` with the observer told of every answer that it judges."""

    async def observed(query: Query, candidate: Candidate) -> Verdict | None:
        start = clock.monotonic()
        try:
            return await verify(query, candidate)
        finally:
            if query.verifier is not None:
                observer.verified(query.verifier.kind.value, clock.monotonic() - start)

    return observed
