import pytest

from kat_data.verifiers.math.surroundings import is_part, trailing


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("-", ""),
        (r"\sqrt{", "}"),
        (r"\frac{", "}{2}"),
        (r"x \neq ", ""),
        ("not ", ""),
        ("8 or ", ""),
        ("", "^2"),
        ("", "/2"),
        ("", ", 8"),
        ("", " is wrong"),
        ("$", "x$"),
        ("", r"\text{ or }8"),
        ("", "{8}"),
        ("", r"\le x"),
        ("", "?"),
        ("", " (incorrect)"),
        ("Do not answer ", ""),
        ("A common mistake is to answer ", ""),
        ("I am not sure, maybe ", ""),
    ],
)
def test_a_box_that_is_part_of_more_or_denied_is_no_answer(before: str, after: str) -> None:
    assert is_part(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("The answer is $x = ", "$."),
        ("- ", ""),
        ("Not 8. It is ", ", since 3 + 4 = 7."),
        ("**", "**"),
        (r"$\textcolor{red}{", "}$"),
        ("", "<|im_end|>"),
        ("| ", " |"),
    ],
)
def test_a_box_in_prose_or_alone_in_a_formula_is_the_answer(before: str, after: str) -> None:
    assert not is_part(before, after)


@pytest.mark.parametrize(
    ("after", "belongs"),
    [
        (r"\%$", r"\%"),
        (" million people", " million"),
        ("$ grams.", " grams"),
        (" g", r" \text{g}"),
        (r"^\circ", r"^\circ"),
        (" in all", ""),
        (".", ""),
    ],
)
def test_what_follows_a_box_belongs_to_its_answer(after: str, belongs: str) -> None:
    assert trailing(after) == belongs
