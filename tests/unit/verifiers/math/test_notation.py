import pytest

from kat_data.verifiers.math.notation import coordinates, excluded_points, one_spelling, says_no_solution


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("infinity", r"\infty"),
        (r"\text{negative infinity}", r"-\infty"),
        ("-inf", r"-\infty"),
        ("info", "info"),
        (r"\{x \mid x > 2\}", "x > 2"),
        (r"\{x \in \mathbb{R} : -1 \le x < 3\}", r"-1 \le x < 3"),
        (r"\{x \mid x^2 = 4\}", r"\{x \mid x^2 = 4\}"),
        ("[[1,2],[3,4]]", r"\begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}"),
        ("[[1,2]]", "[[1,2]]"),
        ("[[1,2],[3]]", "[[1,2],[3]]"),
        (r"[\begin{array}{cc}1&2\end{array}]", r"\begin{pmatrix}1&2\end{pmatrix}"),
        (r"\begin{bmatrix}1\end{bmatrix}", r"\begin{pmatrix}1\end{pmatrix}"),
        (r"\begin{vmatrix}1\end{vmatrix}", r"\begin{vmatrix}1\end{vmatrix}"),
    ],
)
def test_notations_of_the_same_thing_get_one_spelling(text: str, spelled: str) -> None:
    assert one_spelling(text) == spelled


def test_only_a_single_row_or_column_has_coordinates() -> None:
    assert coordinates(r"\begin{pmatrix}1\\2\end{pmatrix}") == ("1", "2")
    assert coordinates(r"\begin{pmatrix}1 & 2\end{pmatrix}") == ("1", "2")
    assert coordinates(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}") is None
    assert coordinates("(1,2)") is None


@pytest.mark.parametrize(
    ("text", "points"),
    [(r"x \neq 2", "2"), (r"\mathbb{R} \setminus \{1, 2\}", "1, 2"), (r"\neq 2", None), ("x = 2", None)],
)
def test_points_left_out_of_the_real_line(text: str, points: str | None) -> None:
    assert excluded_points(text) == points


def test_only_the_whole_phrase_says_that_there_is_no_solution() -> None:
    assert says_no_solution(r"\text{There is no real solution.}")
    assert not says_no_solution("no solution or 3")
