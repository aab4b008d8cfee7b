"""A verifier that could never decide is refused, with what it lacks; one that can is not."""

from typing import Any

import pytest

from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.sources.row_error import RowError
from kat_data.sources.verifiable import require_decidable


@pytest.mark.parametrize(
    ("kind", "options", "reference", "lacks"),
    [
        ("math", {}, None, "a reference: give `answer` or `reference`, or leave the verifier out"),
        ("math", {}, " \n", "a reference: "),
        ("choice", {"choices": ["x", "y"]}, "", "a reference: "),
        ("code", {"entry": "f"}, "def f(): pass", "tests: "),
        ("code", {"tests": []}, None, "tests: "),
        ("tool_call", {}, "[]", "possible: "),
        ("keyword", {"minimum": 0.5}, "x", "keywords: "),
        ("keyword", {"keywords": "one, two"}, None, "keywords: "),
        ("format", {}, "x", "checks: "),
    ],
)
def test_what_is_lacking(kind: str, options: dict[str, Any], reference: str | None, lacks: str) -> None:
    with pytest.raises(RowError) as raised:
        require_decidable(VerifierSpec(kind=VerifierKind(kind), options=options), reference)
    assert str(raised.value).startswith(f"verifier {kind} needs {lacks}")


@pytest.mark.parametrize(
    ("kind", "options", "reference"),
    [
        ("math", {}, "0"),
        ("choice", {}, "A"),
        ("code", {"tests": ["assert f()"]}, None),
        ("tool_call", {"possible": []}, None),
        ("keyword", {"keywords": ["x"]}, None),
        ("format", {"json": True}, None),
    ],
)
def test_what_is_enough(kind: str, options: dict[str, Any], reference: str | None) -> None:
    require_decidable(VerifierSpec(kind=VerifierKind(kind), options=options), reference)
