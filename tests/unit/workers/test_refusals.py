"""A run that is refused is refused for a while, and after each defect for longer."""

from workers.refusals import LACKING_SECONDS, Refusals


class Hands:
    """A clock whose time is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_lacking_is_looked_for_again() -> None:
    time = Hands()
    refused = Refusals(time)
    assert 7 not in refused
    refused.lacking(7)
    time.now += LACKING_SECONDS - 1
    assert 7 in refused
    assert 8 not in refused
    time.now += 1
    assert 7 not in refused


def test_defects_back_off_until_the_work_ends_otherwise() -> None:
    refused = Refusals(Hands())
    assert [refused.defect(7) for _ in range(4)] == [4.0, 8.0, 16.0, 32.0]
    assert refused.defect(8) == 4.0
    assert max(refused.defect(7) for _ in range(20)) == 600.0
    refused.forgive(7)
    assert refused.defect(7) == 4.0


def test_what_is_over_is_forgotten() -> None:
    time = Hands()
    refused = Refusals(time)
    for run in range(50):
        refused.lacking(run)
        time.now += LACKING_SECONDS
    assert len(refused) == 1
