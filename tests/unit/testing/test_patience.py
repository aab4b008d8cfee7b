import pytest

from kat_data.testing.patience import until


def test_what_is_found_is_returned() -> None:
    looks = iter([None, 0, "there"])
    assert until(lambda: next(looks), "something") == "there"


def test_what_was_missing_is_told_as_it_was_at_the_end() -> None:
    said = []
    with pytest.raises(AssertionError, match=r"^in vain for 0 s: the end, after 1 look$"):
        until(lambda: said.append("no"), lambda: f"the end, after {len(said)} look", seconds=0.0)
