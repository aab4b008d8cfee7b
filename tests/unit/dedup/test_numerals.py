from fractions import Fraction

import pytest

from kat_data.dedup.numerals import numbers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a train travels 60 km in 2 hours", [2, 60]),
        ("sixty km in two hours", [2, 60]),
        ("1,000 and 1000.0 and one thousand", [1, 1000, 1000, 1000]),
        (r"34,\!650 and 34{,}650", [34650, 34650]),
        ("half of 0.5", [Fraction(1, 2), Fraction(1, 2)]),
        ("三个苹果和两个梨", [2, 3]),
        ("twos and thirds", [2, 3]),
        ("someone alone, tenfold", []),
        ("x1y2", [1, 2]),
    ],
)
def test_numbers_count_by_value_and_in_order_of_size(text: str, found: list[int | Fraction]) -> None:
    assert list(numbers(text)) == found
