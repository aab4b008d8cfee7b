import pytest

from kat_data.verifiers.math.interval import Interval, intervals


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[0, 1)", (Interval("0", "1", True, False),)),
        (r"(-\infty, 2]", (Interval("-oo", "2", False, True),)),
        (r"x \ge 3", (Interval("3", "oo", True, False, "x"),)),
        (r"3 < x", (Interval("3", "oo", False, False, "x"),)),
        (r"5 > t \geq 0", (Interval("0", "5", True, False, "t"),)),
        (
            r"x < 1 \text{ or } x \ge 4",
            (Interval("-oo", "1", False, False, "x"), Interval("4", "oo", True, False, "x")),
        ),
        (r"(0,1) \cup [2,3]", (Interval("0", "1", False, False), Interval("2", "3", True, True))),
        (r"|x| \le 2", (Interval("-2", "2", True, True, "x"),)),
        (r"|x| < -2", None),
        (r"x \ne 2", (Interval("-oo", "2", False, False), Interval("2", "oo", False, False))),
        (r"\mathbb{R} \setminus \{0\}", (Interval("-oo", "0", False, False), Interval("0", "oo", False, False))),
        ("(1,2),(3,4)", None),
        ("(1,2,3)", None),
        ("x", None),
        ("1 < x > 0", None),
        ("x < y", None),
        (r"\{1,2\}", None),
    ],
)
def test_brackets_and_inequalities_are_read_alike(text: str, found: tuple[Interval, ...] | None) -> None:
    assert intervals(text) == found
