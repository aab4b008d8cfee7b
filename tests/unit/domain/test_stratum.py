import pytest

from kat_data.domain.stratum import Labels, apportion, first_that_holds, parse_stratum

HARD = Labels(category="math", mode="think_on", switches="no", domain="number theory", difficulty=8.0, pass_rate=0.25)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("any", True),
        ("", True),
        ("category=math", True),
        ("category=code,math", True),
        ("category=code", False),
        ("mode=on", True),
        ("mode=think_off", False),
        ("difficulty=8", True),
        ("difficulty=6..8", True),
        ("difficulty=1..7.5", False),
        ("domain=number_theory,algebra", True),
        ("domain=algebra", False),
        ("pass_rate=0..0.25", True),
        ("category=math mode=think_on difficulty=6..9 domain=number_theory pass_rate=0.2..0.3", True),
        ("category=math mode=think_on difficulty=9..10", False),
        ("switches=no", True),
        ("switches=no,yes", True),
        ("switches=yes", False),
    ],
)
def test_a_stratum_holds_what_has_every_label(text: str, inside: bool) -> None:
    assert parse_stratum(text).holds(HARD) is inside


@pytest.mark.parametrize(
    "text", ["mode=think_on", "difficulty=1..10", "domain=algebra", "pass_rate=0..1", "switches=no"]
)
def test_what_is_not_known_lies_outside(text: str) -> None:
    assert not parse_stratum(text).holds(Labels(category="math"))


def test_equal_strata_are_written_equally() -> None:
    texts = ("difficulty=6..9 mode=on category=science,math", "category=math,science mode=think_on difficulty=6.0..9")
    assert {str(parse_stratum(text)) for text in texts} == {"category=math,science mode=think_on difficulty=6..9"}
    assert all(parse_stratum(str(parse_stratum(text))) == parse_stratum(text) for text in texts)
    assert str(parse_stratum("")) == "any"


def test_of_strata_that_overlap_the_first_counts() -> None:
    strata = [parse_stratum(text) for text in ("category=code", "difficulty=7..10", "category=math")]
    assert first_that_holds(strata, HARD) == strata[1]
    assert first_that_holds(strata, Labels(category="general")) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("maths", "`maths` is no part of a stratum"),
        ("colour=red", "`colour=red` is no part"),
        ("category=", "is no part"),
        ("category=maths", "there is no category `maths`: known are code"),
        ("switches=true", "there is no switches `true`: known are yes, no"),
        ("mode=thinking", "there is no mode `thinking`"),
        ("difficulty=hard", "is no range: write it as `difficulty=6..9`"),
        ("difficulty=9..6", "is empty"),
        ("pass_rate=nan..1", "lies between 0 and 1"),
        ("mode=on mode=off", "stands twice"),
    ],
)
def test_a_mistake_is_told_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("(", r"\(")) as caught:
        parse_stratum(text)
    assert "\n" not in str(caught.value)


def test_labels_that_a_stratum_needs() -> None:
    assert parse_stratum("category=math pass_rate=0..1 mode=on").dimensions == {"category", "mode", "pass_rate"}
    assert parse_stratum("mode=on").categories == ("code", "math", "science", "general", "multi_turn", "tool_use")
    assert parse_stratum("category=tool_use").categories == ("tool_use",)


def test_what_division_leaves_over_does_not_hang_on_the_order_of_shares() -> None:
    shares = {"category=math": 1 / 3, "category=code": 1 / 3, "any": 1 / 3}
    split = apportion(shares, 10)
    assert split == {"any": 4, "category=code": 3, "category=math": 3}
    assert apportion(dict(reversed(shares.items())), 10) == split
