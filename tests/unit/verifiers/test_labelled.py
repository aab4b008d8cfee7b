"""The labelled cases that are judged in a moment; the thousands of maths answers are an acceptance test."""

import pytest

from kat_data.domain.query import VerifierKind
from kat_data.hashing import sha256
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.labelled import KINDS, _file, cases, error_rates

QUICK = tuple(kind for kind in KINDS if kind is not VerifierKind.MATH)
KNOWN_ERRORS = {
    VerifierKind.CHOICE: {f"choice-hard-0{number}" for number in (2, 3, 4, 5)},
    VerifierKind.KEYWORD: {f"keyword-hard-0{number}" for number in (1, 2, 3, 4)},
    VerifierKind.FORMAT: {"format-hard-02", "format-hard-03"},
    VerifierKind.TOOL_CALL: {"tool_call-hard-01", "tool_call-hard-02", "tool_call-hard-03"},
    VerifierKind.CLASSIFIER: {"classifier-hard-01"},
}


@pytest.mark.parametrize("kind", QUICK)
def test_every_labelled_case_but_the_known_errors_is_decided_as_labelled(
    kind: VerifierKind, verifiers: Verifiers
) -> None:
    verdicts = {case.id: verifiers.verify(case.query(kind), case.candidate()) for case in cases(kind)}
    wrong = {case.id for case in cases(kind) if verdicts[case.id].outcome is not case.expected}
    assert wrong == KNOWN_ERRORS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_case_files_have_unique_ids_and_both_outcomes(kind: VerifierKind) -> None:
    found = cases(kind)
    assert len({case.id for case in found}) == len(found) >= (40 if kind is VerifierKind.MATH else 15)
    assert {"correct", "incorrect"} <= {case.expected for case in found}


def test_error_rates_count_what_is_wrong_and_name_the_case_file(verifiers: Verifiers) -> None:
    rates = error_rates(verifiers, QUICK)
    assert set(rates) == {kind.value for kind in QUICK}
    for kind in QUICK:
        rate = rates[kind.value]
        assert (rate.cases, rate.wrong) == (len(cases(kind)), len(KNOWN_ERRORS[kind]))
        assert rate.wrong == rate.false_correct + rate.false_incorrect + rate.undecided
        assert rate.sha256 == sha256(_file(kind)).hex()
