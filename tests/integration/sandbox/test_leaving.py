"""What programs leave behind is gone before the next one comes."""

import pytest

from kat_data.sandbox.hostile import programs
from kat_data.sandbox.pool import SlotPool
from kat_data.verifiers.code.trial import leaving

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", programs().leaving)
def test_nothing_is_left_for_the_next_program(sandbox: SlotPool, name: str) -> None:
    for trial in (leaving(sandbox, name), leaving(sandbox, name)):
        assert trial.ok, trial
