"""The seam to environments: the calls of an accepted answer in, what they give out."""

from typing import Protocol

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.stages.stage import Tools


class Environment(Protocol):
    """Gives the results of tool calls."""

    def knows(self, draft: Draft) -> bool:
        """Whether the environment has results for the calls of the draft's accepted answer."""
        ...

    async def observe(self, draft: Draft, tools: Tools) -> tuple[str, ...] | Dropped:
        """Return one result for each call of the accepted answer, in order, or why there can be none."""
        ...
