"""Metrics as Prometheus reads them."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def parse() -> Callable[[str], Samples]:
    """Read an exposition into values by name and labels; a series that stands there twice is an error."""

    def read(text: str) -> Samples:
        found: Samples = {}
        for family in text_string_to_metric_families(text):
            assert family.documentation
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in found
                found[key] = sample.value
        return found

    return read


@pytest.fixture
def value() -> Callable[..., float]:
    """Return the sum of the values of a name whose labels hold those given."""

    def sum_of(found: Samples, name: str, **labels: Any) -> float:
        return sum(v for (n, held), v in found.items() if n == name and set(labels.items()) <= held)

    return sum_of
