"""The codec: every domain record comes back as it was, whatever is in it."""

import dataclasses
import importlib
import pkgutil
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kat_data.domain
from kat_data.domain.codec import from_json, from_python, to_json
from kat_data.domain.sample import Sample
from kat_data.domain.tag import Tag

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)


def dictionaries(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    known = {str: st.text(max_size=4), int: st.integers(-(2**53), 2**53)}
    values = known.get(get_args(kind)[-1], json_values) if get_args(kind) else json_values
    return st.dictionaries(st.text(max_size=4), values, max_size=2)


st.register_type_strategy(dict, dictionaries)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**53), 2**53))


def records() -> list[type[Any]]:
    modules = [
        importlib.import_module(f"kat_data.domain.{m.name}") for m in pkgutil.iter_modules(kat_data.domain.__path__)
    ]
    found = {kind for module in modules for kind in vars(module).values() if dataclasses.is_dataclass(kind)}
    return sorted((kind for kind in found if isinstance(kind, type)), key=lambda kind: kind.__name__)


def test_the_records_are_found() -> None:
    assert {"Query", "Sample", "Draft", "Candidate", "CallRequest", "Reply"} <= {kind.__name__ for kind in records()}


@pytest.mark.parametrize("kind", records(), ids=lambda kind: kind.__name__)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_record_comes_back_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    record = data.draw(st.from_type(kind))
    assert from_json(kind, to_json(record)) == record


@pytest.mark.parametrize("kind", records(), ids=lambda kind: kind.__name__)
def test_every_record_is_frozen_slotted_and_keyword_only(kind: type[Any]) -> None:
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)
    assert all(field.kw_only for field in dataclasses.fields(kind))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"system": null, "tools": [], "turns": [{"user": "u"}]}'])
def test_data_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        from_json(Sample, text)


def test_decoded_json_is_read_too() -> None:
    values = {"model": "m", "difficulty": 3, "domain": "algebra", "verifiable": True, "call": "c"}
    assert from_python(Tag, values) == Tag(**values)  # type: ignore[arg-type]
