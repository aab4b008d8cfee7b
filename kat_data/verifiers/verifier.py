"""The seam to verifiers: a candidate's answer and what is known of the right one, in; a verdict, out."""

from typing import Protocol

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Verdict


class Verifier(Protocol):
    """Decides on candidates of queries of one kind.

    A wrong answer is a verdict; a broken verifier raises `VerifierFault`. `verify` may block for seconds and is
    called in a thread.
    """

    @property
    def name(self) -> str: ...

    def verify(self, query: Query, candidate: Candidate) -> Verdict: ...
