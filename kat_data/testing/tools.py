"""What a stage gets beside its draft, of parts that do no harm: a test names only those that it is about."""

from collections.abc import Mapping, Sequence
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.equivalence import Equivalence
from kat_data.domain.query import Query
from kat_data.stages.stage import Tools
from kat_data.verifiers.model_judge import ModelJudge


class NothingKnown:
    """An index over an empty registry."""

    def contamination(self, query: Query) -> tuple[()]:
        """Return no items."""
        return ()

    def near_duplicate(self, query: Query) -> None:
        """Return none."""
        return

    def crowding(self, query: Query) -> None:
        """Return none."""
        return


def some_tools(**parts: Any) -> Tools:
    """Build a stage's tools; what `parts` leaves out has no models, no verdicts, no hits, no objections, no sandbox."""
    defaults: dict[str, Any] = {
        "models": {},
        "verify": _no_verdict,
        "admit": _no_objection,
        "compare": ModelJudge().compare,
        "group": _no_groups,
        "execute": _no_sandbox,
        "index": NothingKnown(),
        "seed": 7,
    }
    return Tools(**(defaults | parts))


async def _no_verdict(query: Query, candidate: Candidate) -> None:
    return


async def _no_objection(query: Query) -> None:
    return


async def _no_groups(query: Query, answers: Sequence[str]) -> Equivalence:
    raise LookupError("these tools group no answers: give `some_tools` a `group`")


async def _no_sandbox(files: Mapping[str, str], source: str) -> None:
    return
