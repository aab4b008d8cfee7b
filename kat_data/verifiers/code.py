"""Code: programs run only in a sandbox; where there is none, an answer is not verified and never correct."""

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict


class CodeVerifier:
    """Leaves every program undecided, since this version has no sandbox to run it in."""

    name = "code/1"

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Return `not_verified`; no program is run and none is read."""
        return Verdict(
            outcome=Outcome.UNDECIDED, status=Status.NOT_VERIFIED, verifier=self.name, evidence={"why": "no sandbox"}
        )
