"""Drop reasons: a code for machines, a sentence for people."""

import pytest

from kat_data.domain.codec import from_json, to_json
from kat_data.domain.drop import Dropped, DropReason


@pytest.mark.parametrize("reason", DropReason)
def test_every_reason_has_a_code_and_a_sentence(reason: DropReason) -> None:
    assert reason.value == reason.name.lower() == str(reason)
    assert reason.sentence[0].isupper()
    assert reason.sentence.endswith(".")
    assert DropReason(reason.value) is reason


def test_no_two_reasons_say_the_same() -> None:
    assert len({reason.sentence for reason in DropReason}) == len(DropReason)


@pytest.mark.parametrize("reason", DropReason)
def test_a_drop_survives_storage(reason: DropReason) -> None:
    dropped = Dropped(reason=reason, detail="why")
    assert from_json(Dropped, to_json(dropped)) == dropped
