import asyncio
import threading

import pytest

from kat_data.domain.category import Category
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.verdict import Outcome, Status
from kat_data.testing.builders import a_candidate, a_query
from kat_data.verifiers.dispatch import NAMES, Verifiers


def test_a_query_without_a_verifier_gets_no_verdict(verifiers: Verifiers) -> None:
    assert verifiers.verify(a_query(reference=None), a_candidate()) is None


@pytest.mark.parametrize("kind", VerifierKind)
def test_every_kind_has_a_verifier_that_names_itself(verifiers: Verifiers, kind: VerifierKind) -> None:
    query = a_query(category=Category.GENERAL, verifier=VerifierSpec(kind=kind))
    assert verifiers.verify(query, a_candidate()).verifier == NAMES[kind]
    assert NAMES[kind].startswith(f"{kind.value}/")


def test_a_program_is_never_correct_without_a_sandbox(verifiers: Verifiers) -> None:
    query = a_query(category=Category.CODE, verifier=VerifierSpec(kind=VerifierKind.CODE))
    verdict = verifiers.verify(query, a_candidate("def solve(): return 42"))
    assert (verdict.outcome, verdict.status) == (Outcome.UNDECIDED, Status.NOT_VERIFIED)
    assert verdict.evidence["why"] == "no sandbox"


async def test_awaiting_a_verdict_leaves_the_event_loop_free(verifiers: Verifiers) -> None:
    query, candidates = a_query(reference=r"\sqrt{8}"), [a_candidate(rf"\boxed{{{n}\sqrt{{2}}}}") for n in range(1, 9)]
    verdicts = await asyncio.gather(*(verifiers(query, candidate) for candidate in candidates))
    assert [v.outcome is Outcome.CORRECT for v in verdicts] == [n == 2 for n in range(1, 9)]
    assert await verifiers(a_query(reference=None), a_candidate()) is None


def test_a_verdict_is_given_in_a_thread_too(verifiers: Verifiers) -> None:
    found = []
    thread = threading.Thread(
        target=lambda: found.append(verifiers.verify(a_query(reference="x+x"), a_candidate("2x")))
    )
    thread.start()
    thread.join()
    assert found[0].outcome is Outcome.CORRECT


def test_closed_verifiers_can_be_used_again() -> None:
    verifiers = Verifiers()
    verifiers.close()
    assert verifiers.verify(a_query(), a_candidate()).outcome is Outcome.CORRECT
