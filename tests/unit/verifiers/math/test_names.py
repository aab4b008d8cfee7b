import pytest

from kat_data.verifiers.math.answer import make_answer
from kat_data.verifiers.math.names import bare


@pytest.mark.parametrize(
    ("gold", "answer", "values"),
    [
        ("5", "x = 5", ("5", "5")),
        ("x = 5", "x = 6", ("5", "6")),
        ("x = 5", "y = 5", ("x = 5", "y = 5")),
        ("y = x+1", "f(x) = x+1", ("x+1", "x+1")),
        ("2x", "f'(x) = 2x", ("2x", "2x")),
        ("4", "f'(x) = 4", ("4", "f'(x) = 4")),
        ("4", "f'(2) = 4", ("4", "4")),
        ("4", "m+n = 4", ("4", "4")),
        ("4", "x+y = 4", ("4", "x+y = 4")),
        ("4", "x+1 = 4", ("4", "x+1 = 4")),
        ("0", "a+b = 0", ("0", "a+b = 0")),
        ("(3, -1)", "P(3, -1)", ("(3, -1)", "(3, -1)")),
        ("x^2+C", "x^2+k", ("x^2+C", "x^2+C")),
        ("11a+c", "11a+k", ("11a+c", "11a+k")),
    ],
)
def test_a_name_is_taken_off_where_it_only_names_the_value(gold: str, answer: str, values: tuple[str, str]) -> None:
    one, other = bare(make_answer(gold), make_answer(answer))
    assert (one.value, other.value) == values
