"""Values on the wire: nothing but built-in values comes out, and nothing hostile costs more than its size."""

import datetime as dt
import json
import math
import time
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kat_data.sandbox.inside.values import Iterated, NotPlain, Opaque, decode, encode

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False)
)  # fmt: skip
HASHABLE = st.recursive(SCALARS, lambda s: st.tuples(s, s) | st.frozensets(s, max_size=3), max_leaves=6)
PLAIN = st.recursive(
    HASHABLE,
    lambda s: st.lists(s) | st.tuples(s) | st.dictionaries(HASHABLE, s, max_size=4) | st.sets(HASHABLE, max_size=4),
    max_leaves=20,
)


def through(value: object) -> object:
    return decode(json.loads(json.dumps(encode(value))))


def typed(value: object) -> object:
    """A value with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    if isinstance(value, dict):
        return dict, sorted(map(repr, ((typed(k), typed(v)) for k, v in value.items())))
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(typed(item)) for item in value)
    return type(value), repr(value)


@given(PLAIN)
def test_plain_values_come_back_the_same(value: object) -> None:
    assert typed(through(value)) == typed(value)


LIBRARY = [
    Fraction(-3, 7), Decimal("1.10"), Decimal("-Infinity"), Decimal("1E+9000"), dt.date(2024, 2, 29),
    dt.datetime(2024, 1, 2, 3, 4, 5, 6, fold=1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.time(1, 2, 3, 4),
    dt.time(1, tzinfo=dt.timezone(dt.timedelta(hours=-3))), dt.timedelta(-1, 5, 7), dt.UTC, deque([1, [2]], 3),
    deque(), Counter("aab"), Counter({"a": -1, "b": 0}), OrderedDict([(2, 1), (1, 2)]), defaultdict(list, {1: [2]}),
    defaultdict(None, {}),
]  # fmt: skip


@pytest.mark.parametrize("value", [*LIBRARY, LIBRARY, {LIBRARY[0]: LIBRARY[1]}], ids=repr)
def test_values_of_the_library_come_back_the_same(value: object) -> None:
    found = through(value)
    assert (type(found), repr(found)) == (type(value), repr(value))


def test_a_default_goes_on_where_it_is_a_type() -> None:
    found = through(defaultdict(int))
    assert isinstance(found, defaultdict)
    assert found["x"] == 0
    own = decode(json.loads(json.dumps(encode(defaultdict(lambda: 3), lambda _: {"o": 0, "k": "function"}))))
    assert own.default_factory is None


def test_members_of_named_tuples_keep_their_names() -> None:
    point = namedtuple("point", "x y")(1, [2])
    for found in (through(point), through(through(point))):
        assert found == (1, [2])
        assert (found.x, found.y, found._asdict()) == (1, [2], {"x": 1, "y": [2]})  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            found.z  # type: ignore[attr-defined]  # noqa: B018


def test_views_are_views() -> None:
    assert through({1: 2}.keys()) == {1}
    assert through({1: 2}.items()) == {(1, 2)}
    assert list(through({1: [2], 3: [2]}.values())) == [[2], [2]]  # type: ignore[call-overload]


def test_zones_that_have_rules_are_objects() -> None:
    class Zone(dt.tzinfo):
        pass

    with pytest.raises(NotPlain, match="datetime is no plain value"):
        encode(dt.datetime(2024, 1, 1, tzinfo=Zone()))


@pytest.mark.parametrize(
    "data",
    [
        {"q": ["0x1", "0x0"]}, {"q": ["0x1"]}, {"q": [1, 2]}, {"q": ["0x" + "f" * 20_000, "0x1"]}, {"m": ["1e99999"]},
        {"m": ["x"]}, {"m": [{"t": [0, {"t": [1]}, 99999]}]}, {"m": ["1" * 5000]}, {"da": [2024, 2, 30]},
        {"da": [2024]}, {"dt": [2024, 1, 1]}, {"td": [{"i": "0x" + "f" * 40}, 0, 0]}, {"tz": [[[2, 0, 0]]]},
        {"dq": [[1], -1]}, {"dq": [{"r": ["0x0", hex(10**15), "0x1"]}, None]}, {"co": [[1]]},
        {"co": [{"r": ["0x0", hex(10**15), "0x1"]}]}, {"od": [{"r": ["0x0", hex(10**15), "0x1"]}]}, {"dd": [None, []]},
        {"n": [["x"], [1, 2]]}, {"n": [[1], [1]]}, {"n": [{"r": ["0x0", hex(10**15), "0x1"]}, []]}, {"dk": [[1]]},
        {"dv": [{"r": ["0x0", hex(10**15), "0x1"]}]}, {"di": [3]}, {"q": 3}, {"zz": []},
    ],
)  # fmt: skip
def test_what_stands_for_no_value_of_the_library_is_refused_at_once(data: object) -> None:
    with pytest.raises(NotPlain):
        decode(data)


def test_what_is_no_number_comes_back_as_such() -> None:
    found = through([math.nan, -math.inf])
    assert isinstance(found, list)
    assert math.isnan(found[0])
    assert found[1] == -math.inf


def test_objects_are_kept_or_refused() -> None:
    with pytest.raises(NotPlain, match="object is no plain value"):
        encode(object())
    assert encode([object()], lambda _: {"o": 4, "k": "object"}) == [{"o": 4, "k": "object"}]
    found = decode({"o": 4, "k": "Thing"})
    assert isinstance(found, Opaque)
    with pytest.raises(TypeError, match="no truth value"):
        bool(found)
    with pytest.raises(TypeError, match="compared with nothing"):
        found == 3  # noqa: B015
    with pytest.raises(TypeError, match="compared with nothing"):
        found != 3  # noqa: B015


def test_iterators_are_given_whole_and_equal_nothing() -> None:
    found = through(iter([1, 2]))
    assert isinstance(found, Iterated)
    assert found != [1, 2]
    assert list(found) == [1, 2]


def test_what_never_ends_is_refused() -> None:
    def count():
        while True:
            yield 0

    nested: list[object] = []
    nested.append(nested)
    for value in (count(), nested, {1: count()}):
        with pytest.raises(NotPlain):
            encode(value)


@pytest.mark.parametrize(
    "data",
    [
        {}, {"x": 1}, {"i": 3}, {"i": "z"}, {"t": 3}, {"d": [1]}, {"s": [[1]]}, {"o": 1}, {"o": "x", "k": 1},
        {"f": "x"}, {"f": []}, {"b": "0"}, {"c": ["1"]}, {"r": []}, {"i": "1", "t": []}, {"r": ["0", "1", "0"]},
        [{"d": [{"d": []}, 1]}],
    ],
)  # fmt: skip
def test_nonsense_is_refused(data: object) -> None:
    with pytest.raises(NotPlain):
        decode(data)


def test_a_range_of_huge_numbers_is_refused_at_once() -> None:
    with pytest.raises(NotPlain, match="reaches too far"):
        decode({"r": ["0x" + "f" * 1_000_000, "0x1", "0x3"]})


def test_depth_is_refused() -> None:
    data: object = 0
    for _ in range(100_000):
        data = [data]
    with pytest.raises(NotPlain, match="too deep"):
        decode(data)


def test_keys_that_share_their_hashes_are_refused_at_once() -> None:
    same = [(2**61 - 1) * n for n in range(40_000)]
    start = time.process_time()
    for data in ({"s": [{"i": hex(n)} for n in same]}, {"d": [v for n in same for v in ({"i": hex(n)}, 0)]}):
        with pytest.raises(NotPlain, match="share their hashes"):
            decode(data)
    assert time.process_time() - start < 5  # building the tables would take minutes
    half = same[:5000] + list(range(5000, 10_000))
    with pytest.raises(NotPlain, match="share their hashes"):
        decode({"s": [{"i": hex(n)} for n in half]})
    assert decode({"s": list(range(40_000))}) == set(range(40_000))
