import time

import pytest

from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.testing.builders import a_candidate, a_query
from kat_data.verifiers.math.pool import MathPool
from kat_data.verifiers.math.verifier import MathVerifier, grade

ENDLESS = r"\int_0^1 x^x \sin(x^3) e^{x^2} dx"


@pytest.fixture
def verifier(pool: MathPool) -> MathVerifier:
    return MathVerifier(pool)


def judge(verifier: MathVerifier, reference: str | None, answer: str) -> Verdict:
    return verifier.verify(a_query(reference=reference), a_candidate(answer))


@pytest.mark.parametrize(
    ("reference", "answer", "layer"),
    [
        ("42", r"So the answer is \boxed{42}.", "text"),
        ("B", r"\boxed{\text{(B)}}", "letter"),
        ("Evelyn", r"\text{evelyn}", "words"),
        ("0.5", r"\frac{3}{6}", "exact"),
        ("1, 2", "2, 1", "exact"),
        (r"\sqrt{8}", r"2\sqrt{2}", "numeric"),
        ("[0, 1)", r"x \in [0, 1)", "text"),
        ("[0, 1)", r"0 \le x < 1", "interval"),
        (r"x^2+y^2=4", r"\frac{x^2+y^2}{2}=2", "numeric"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}\frac{2}{2}\\2\end{bmatrix}", "math-verify"),
    ],
)
def test_the_first_layer_that_can_decide_does(verifier: MathVerifier, reference: str, answer: str, layer: str) -> None:
    verdict = judge(verifier, reference, answer)
    assert (verdict.outcome, verdict.evidence["layer"]) == (Outcome.CORRECT, layer)


@pytest.mark.parametrize(
    ("reference", "answer", "status"),
    [
        ("3", "", Status.UNPARSABLE),
        ("3", "I cannot determine this.", Status.UNPARSABLE),
        ("3", "9^{9^{9^{9}}}", Status.OVER_LIMIT),
        ("3", "1000000!", Status.OVER_LIMIT),
        ("3", "(" * 60 + "3" + ")" * 60, Status.OVER_LIMIT),
        ("3", "x+" * 2000 + "3", Status.OVER_LIMIT),
        (None, "3", Status.NOT_VERIFIED),
    ],
)
def test_what_cannot_be_read_or_computed_is_undecided_without_reward(
    verifier: MathVerifier, reference: str | None, answer: str, status: Status
) -> None:
    verdict = judge(verifier, reference, answer)
    assert (verdict.outcome, verdict.status, verdict.reward) == (Outcome.UNDECIDED, status, None)


def test_a_grade_has_status_layer_and_versions_whichever_layer_decides(pool: MathPool) -> None:
    for answer, status, layer in (
        ("4", "correct", "text"),
        ("5", "incorrect", "exact"),
        ("9^{9^{9^9}}", "over_limit", "limits"),
    ):
        found = grade("4", answer, pool)
        assert (found.status.value, found.layer) == (status, layer)
        assert set(found.evidence["versions"]) == {"math-verify", "latex2sympy2_extended", "sympy"}
    assert (grade("", "4", pool).status, grade("", "4", pool).layer) == (Status.UNPARSABLE, "reference")


def test_evidence_names_both_answers_the_layer_and_the_versions(verifier: MathVerifier) -> None:
    verdict = judge(verifier, r"\sqrt{8}", r"Hence \boxed{2\sqrt{2}}.")
    assert verdict.verifier == "math/3"
    assert verdict.evidence["reference"] == r"\sqrt{8}"
    assert verdict.evidence["answer"] == r"2\sqrt{2}"
    assert verdict.evidence["found"] == "boxed"
    assert verdict.evidence["versions"]["math-verify"] == "0.9.0"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("5 dollars", "5", True),
        ("$5", "5 dollars", True),
        ("5 dollars", "5 cents", False),
        (r"5\text{ m}", r"5\text{ mm}", False),
        ("12 meters", r"12\text{ m}", True),
        ("5m", "5", False),
        (r"\frac{1}{2}t", r"\frac{1}{2}", False),
        ("3 apples", "3 red apples", True),
    ],
)
def test_an_absent_unit_is_forgiven_and_a_different_one_is_not(
    verifier: MathVerifier, one: str, other: str, equal: bool
) -> None:
    assert (judge(verifier, one, other).outcome is Outcome.CORRECT) == equal
    assert (judge(verifier, other, one).outcome is Outcome.CORRECT) == equal


def test_numbers_are_compared_relative_to_their_size(verifier: MathVerifier) -> None:
    assert judge(verifier, r"\frac{1}{3^{50}}", r"\frac{1}{3^{51}}").outcome is Outcome.INCORRECT
    assert judge(verifier, "2^{200}", "2^{200}+1").outcome is Outcome.INCORRECT
    assert judge(verifier, r"\sqrt{2}", "1.41421356237309").outcome is Outcome.CORRECT
    assert judge(verifier, r"\sqrt{2}", "1.4142").outcome is Outcome.INCORRECT


def test_an_endless_expression_is_a_timeout_and_the_next_answer_is_decided() -> None:
    pool = MathPool(size=1, deadline=1.0)
    verifier = MathVerifier(pool)
    verdict = judge(verifier, "5", ENDLESS)
    assert (verdict.outcome, verdict.status) == (Outcome.UNDECIDED, Status.TIMEOUT)
    assert verdict.evidence["note"] == "killed at the deadline"
    assert pool.pids() == ()
    pool._deadline = 20.0
    assert judge(verifier, "x+x", "2x").outcome is Outcome.CORRECT
    verifier.close()


@pytest.mark.parametrize(
    "text",
    [
        r"\(" * 100_000,
        r"\boxed{" * 30_000,
        "answer" + " " * 200_000,
        "$" * 200_000,
        "x_a" * 70_000,
        "9" * 200_000,
        "1 and " * 40_000,
        "的" * 200_000,
    ],
)
def test_hostile_lengths_take_no_more_than_a_moment(verifier: MathVerifier, text: str) -> None:
    started = time.process_time()
    assert judge(verifier, "5", text).outcome is not Outcome.CORRECT
    assert time.process_time() - started < 2.0


def test_a_reply_that_is_cut_to_its_end_never_loses_the_head_of_a_number(verifier: MathVerifier) -> None:
    assert judge(verifier, "5", "1" + "0" * 30_000 + "5").outcome is not Outcome.CORRECT
    assert judge(verifier, "5", "word " * 8_000 + "#### 5").outcome is not Outcome.INCORRECT


def test_seconds_are_of_judging_and_not_of_waiting() -> None:
    pool = MathPool(size=1, deadline=20.0)
    start = time.monotonic()
    found = grade(r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1&3\end{pmatrix}", pool)
    assert found.layer == "math-verify"
    assert 0 < found.seconds <= time.monotonic() - start - pool.waited
    pool.close()


@pytest.mark.parametrize(
    ("reference", "answer", "status"),
    [
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "[[1,2],[3,4]]", Status.CORRECT),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1, 2)", Status.CORRECT),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "(2, 1)", Status.INCORRECT),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "1, 2", Status.INCORRECT),
        ("x = 4", "2x = 8", Status.INCORRECT),
        ("x = 4", "x - 4 = 0", Status.CORRECT),
        (r"(-\infty,0)\cup(0,\infty)", r"x \neq 0", Status.CORRECT),
        (r"\emptyset", "no solution", Status.CORRECT),
        ("40", r"40\%", Status.INCORRECT),
        (r"40\%", "40", Status.CORRECT),
        ("3", "3 h", Status.INCORRECT),
        ("3", r"3\text{ h}", Status.CORRECT),
        ("C", "c", Status.INCORRECT),
        ("x", "X", Status.INCORRECT),
        ("7", r"\cancel{7}", Status.UNPARSABLE),
    ],
)
def test_what_counts_as_equal(verifier: MathVerifier, reference: str, answer: str, status: Status) -> None:
    assert judge(verifier, reference, answer).status is status
