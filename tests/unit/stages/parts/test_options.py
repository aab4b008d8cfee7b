import pytest

from kat_data.stages.parts.options import listed_options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Which gas?\nA. oxygen\nB. carbon dioxide\nC. nitrogen", ("oxygen", "carbon dioxide", "nitrogen")),
        ("Which?\n\n(A) yes\n(B) no", ("yes", "no")),
        ("哪个？\nA、氧\nB、氮\nC、氦", ("氧", "氮", "氦")),
        ("Closest to the sun? A) Venus B) Mercury C) Mars", ("Venus", "Mercury", "Mars")),
        ("Pick: (A) 1, (B) 2, (C) 3, (D) none of these", ("1", "2", "3", "none of these")),
        ("A. Read.\nB. Write.\n\nWhich is right?\nA. one\nB. two\nC. three", ("one", "two", "three")),
        ("Let A be a set. Find |A|.", ()),
        ("A. Smith and B. Jones share 12 apples.", ()),
        ("Take (A) or (B).", ()),
        ("(a) Find x. (b) Find y.", ()),
        ("B. two\nC. three", ()),
        ("A. one\nC. three", ()),
        ("", ()),
    ],
)
def test_options_are_read_where_the_question_lists_them(text, options):
    assert listed_options(text) == options
