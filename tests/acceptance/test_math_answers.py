"""Every labelled maths answer is judged as it is labelled, but for the few that are known."""

from contextlib import closing

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query, VerifierKind
from kat_data.domain.verdict import Outcome, Verdict
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.labelled import cases, error_rates
from kat_data.verifiers.math.pool import MathPool

KNOWN_ERRORS = {"math-hard-03", "math-hard-04", "math-hard-05", "math-part-263"}


class Noting(Verifiers):
    """Verifiers that note what they came to, by the case."""

    def __init__(self, pool: MathPool) -> None:
        super().__init__(pool)
        self.outcomes: dict[str, Outcome] = {}

    def verify(self, query: Query, candidate: Candidate) -> Verdict | None:
        verdict = super().verify(query, candidate)
        assert verdict is not None
        self.outcomes[query.messages[0].content] = verdict.outcome
        return verdict


def test_every_labelled_answer_but_the_known_errors_is_judged_as_labelled() -> None:
    with closing(MathPool(size=2, deadline=20.0)) as pool, Noting(pool) as verifiers:
        rate = error_rates(verifiers, [VerifierKind.MATH])["math"]
    found = verifiers.outcomes
    labelled = {case.id: case.expected for case in cases(VerifierKind.MATH)}
    assert found.keys() == labelled.keys()
    assert {name for name in labelled if found[name] is not labelled[name]} == KNOWN_ERRORS
    assert (rate.verifier, rate.cases, rate.wrong) == ("math/3", len(labelled), len(KNOWN_ERRORS))
    assert rate.false_correct == 0
