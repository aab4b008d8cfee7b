import pytest

from kat_data.verifiers.tool_call.value import is_allowed, same_text


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        ("April 1 2024", "april 1, 2024", True),
        ("New_York", "new york", True),
        ("it's", 'it"s', True),
        ("2024/04/01", "2024-04-01", True),
        ("1,000", "1000", True),
        ("3*x**2", "3 * X ** 2", True),
        ("Paris,France", "Paris France", True),
        ("Washington, D.C.", "Washington DC", True),
        ("3.5 kg", "3.5kg", True),
        ("[1, 2]", "[1,2]", True),
        ("3*x**2", "3x^2", False),
        ("2*x", "2x", False),
        ("-x", "x", False),
        ("-inf", "inf", False),
        ("-$5", "$5", False),
        ("- 5", "5", False),
        ("-five", "five", False),
        ("five - two", "five two", False),
        ("a.b", "ab", False),
        ("a.b", "a b", False),
        ("a,b", "ab", False),
        ("x_1", "x1", False),
        ("log 2", "log2", False),
        ("new york", "newyork", False),
        ("5'", '5"', False),
        ("3.5", "35", False),
        ("-5", "5", False),
        ("2024-1-11", "2024-11-1", False),
        ("192.168.1.11", "192.168.11.1", False),
        ("x*2", "x/2", False),
        ("x - 1", "x1", False),
        ("-", "", False),
        ("", "", True),
    ],
)
def test_texts_fold_as_far_as_they_mean_the_same(value: str, wanted: str, same: bool) -> None:
    assert same_text(value, wanted) is same
    assert same_text(wanted, value) is same


@pytest.mark.parametrize(
    ("value", "allowed", "schema", "is_one"),
    [
        (2, [2.0], {}, True),
        (2.0, [2], {}, False),
        (2.0, [2], {"type": "number"}, True),
        (2.0, [2], {"type": "integer"}, False),
        ([1.0], [[1]], {"type": "array", "items": {"type": "number"}}, True),
        (True, [1], {"type": "number"}, False),
        (1, [True], {}, False),
        (None, [None], {}, True),
        (None, [""], {}, False),
        ({"a": 1}, [{"a": [1, 2], "b": ["", 3]}], {}, True),
        ({"a": 1, "c": 1}, [{"a": [1, 2]}], {}, False),
        ([{"a": 2}], [[{"a": [2]}]], {}, True),
    ],
)
def test_types_count(value: object, allowed: list[object], schema: dict[str, object], is_one: bool) -> None:
    assert is_allowed(value, allowed, schema) is is_one


def test_a_long_text_is_compared_at_once() -> None:
    assert not same_text("1-" * 50_000, "1-" * 50_000 + "1")
