"""Recorded conversations as an environment: a step that makes the source's calls gets the source's results."""

from kat_data.domain.draft import Draft
from kat_data.domain.history import steps
from kat_data.stages.stage import Tools


class Record:
    """Knows the results of every step that the source's assistant went on from."""

    def knows(self, draft: Draft) -> bool:
        # Results that end the recorded conversation are answered by nobody, and end the sample too.
        if draft.step is None or not draft.step.results:
            return False
        recorded = steps(draft.query.messages)
        following = len(draft.turns) + 1
        return following < len(recorded) and not recorded[following].user

    async def observe(self, draft: Draft, tools: Tools) -> tuple[str, ...]:
        """Return the recorded results: the verifier of the step has seen that the calls are the recorded ones."""
        assert draft.step is not None
        return draft.step.results
