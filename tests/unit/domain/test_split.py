"""Splits as people ask for them."""

import pytest

from kat_data.domain.split import check_splits, parse_splits
from kat_data.errors import UserError


def test_a_share_has_a_point_and_a_number_of_rows_none() -> None:
    assert parse_splits(("validation=0.05", "test=500")) == {"test": 500, "validation": 0.05}
    assert list(parse_splits(("validation=0.05", "test=500"))) == ["test", "validation"]
    assert parse_splits(()) == {}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("test",), r"--split test: write a share or a number of rows, as in validation=0\.05 or test=500"),
        (("test=5%",), "--split test=5%: write a share"),
        (("test=1", "test=2"), "--split test=2: there is a split test already"),
        (("test=1.5",), "`test: 1.5` is no share: write one between 0 and 1"),
        (("test=0.0",), "`test: 0` is no share"),
        (("test=0",), "`test: 0` is no number of rows: write 1 or more"),
        (("test=-3",), "`test: -3` is no number of rows"),
        (("test=nan.",), "write a share"),
        (("train=0.5",), "`train` takes what the other splits leave"),
        (("Test=0.5",), "`Test` cannot name a split"),
        (("a/b=0.5",), "`a/b` cannot name a split"),
        (("test-hard=0.5",), r"`test-hard` cannot name a split: use up to 64 of a-z, 0-9 and _ \(no -\)"),
        (("all=0.5",), "`all` cannot name a split"),
        (("test=0.5", "validation=0.5"), "the splits take 1 of the rows, and leave none to train on"),
    ],
)
def test_what_cannot_be_is_one_clear_line(words: tuple[str, ...], problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        parse_splits(words)
    assert "\n" not in str(caught.value)


def test_splits_of_a_recipe_are_checked_in_the_same_way() -> None:
    with pytest.raises(ValueError, match="leave none to train on"):
        check_splits({"a": 0.6, "b": 0.5})


def test_there_are_as_many_splits_as_have_a_number_in_a_byte() -> None:
    asked = {f"part_{number:03d}": 1 for number in range(127)}
    assert check_splits(asked) == asked
    with pytest.raises(ValueError, match="128 splits are asked for: ask for up to 127 beside `train`"):
        check_splits({**asked, "another": 1})
