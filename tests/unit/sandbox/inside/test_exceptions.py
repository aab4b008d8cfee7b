"""Exceptions of programs as classes that tests can catch."""

import pytest

from kat_data.sandbox.inside.exceptions import ProgramError, kind_of, raised

OWN = ["EmptyError", "StackError", "ValueError", "Exception", "BaseException", "object"]


def test_a_lineage_is_kept_by_name() -> None:
    known: dict[tuple[str, ...], type[Exception]] = {}
    empty, stack = kind_of(OWN, known), kind_of(OWN[1:], known)
    assert empty is not None
    assert stack is not None
    assert empty.__mro__[1:3] == (stack, ValueError)
    assert kind_of(OWN, known) is empty
    assert kind_of(["StackError", "Exception", "BaseException", "object"], known) is not stack


@pytest.mark.parametrize(
    ("lineage", "kind"),
    [(["KeyError", "LookupError"], KeyError), (["StopIteration", "Exception"], None), ([], ProgramError)],
)
def test_pythons_own_are_themselves(lineage: list[str], kind: type[Exception] | None) -> None:
    found = kind_of(lineage, {})
    if kind is None:  # what ends an iteration there must end none here
        assert found is not None
        assert not issubclass(found, StopIteration)
    else:
        assert found is kind


@pytest.mark.parametrize(
    "lineage",
    [["SystemExit", "BaseException"], ["Mine", "SystemExit", "BaseException"], ["Mine", "BaseException", "object"],
     ["KeyboardInterrupt"], ["Mine", "GeneratorExit", "Exception"]],
)  # fmt: skip
def test_what_ends_programs_is_no_exception_to_catch(lineage: list[str]) -> None:
    assert kind_of(lineage, {}) is None


def test_what_was_raised_has_its_words_arguments_and_attributes() -> None:
    kind = kind_of(OWN, {})
    assert kind is not None
    error = raised(kind, "stack: empty", ["empty", 7], {"code": 7})
    assert (str(error), error.args, error.code) == ("stack: empty", ("empty", 7), 7)  # type: ignore[attr-defined]
    assert raised(KeyError, "'k'", ["k"], {}).args == ("k",)
    assert raised(KeyError, "'k'", None, {"x": 1}).args == ("'k'",)
    odd = raised(UnicodeDecodeError, "words", ["one"], {})
    assert (type(odd), str(odd)) == (ProgramError, "UnicodeDecodeError: words")
