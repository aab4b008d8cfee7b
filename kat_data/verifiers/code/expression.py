"""What a test asserts, as a small tree over the results of calls; evaluated with no code but that of `operations`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kat_data.sandbox.base import Returned


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A value that the test itself gives; it never leaves this process unless it is an argument of a call."""

    value: Any


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave back."""

    call: int


@dataclass(frozen=True, slots=True)
class Argument:
    """A call's argument as it was after the call."""

    call: int
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Apply:
    """An operation of `operations` on values."""

    operation: Callable[..., Any]
    operands: tuple["Expression", ...]
    named: dict[str, "Expression"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A list, tuple, set or mapping of values; a mapping is written as pairs."""

    make: Callable[[Any], Any]
    members: tuple["Expression", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Either:
    """`or` (which stops at the first true operand) or `and` (which stops at the first false one)."""

    operands: tuple["Expression", ...]
    stop: bool


Expression = Constant | Result | Argument | Apply | Shape | Either


def evaluate(expression: Expression, outcomes: Sequence[Returned]) -> Any:
    """Return the expression's value; raises whatever the operations do, which is an `Exception` in every case."""
    match expression:
        case Constant():
            return expression.value
        case Result():
            return outcomes[expression.call].value
        case Argument():
            return outcomes[expression.call].arguments[expression.position]
        case Apply():
            operands = [evaluate(operand, outcomes) for operand in expression.operands]
            return expression.operation(*operands, **{n: evaluate(v, outcomes) for n, v in expression.named.items()})
        case Shape():
            return expression.make([evaluate(member, outcomes) for member in expression.members])
        case Either():
            return _either(expression, outcomes)


def _either(expression: Either, outcomes: Sequence[Returned]) -> Any:
    value: Any = None
    for operand in expression.operands:
        value = evaluate(operand, outcomes)
        if bool(value) is expression.stop:
            break
    return value


def leaves(expression: Expression) -> Iterator[Constant | Result | Argument]:
    """Give every value that the expression is made of."""
    match expression:
        case Apply():
            for operand in (*expression.operands, *expression.named.values()):
                yield from leaves(operand)
        case Shape(members=parts) | Either(operands=parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield expression


def first_result(expression: Expression, outcomes: Sequence[Returned]) -> Any:
    """Return a value of the program that the expression is about, for a curator to see; none where there is none."""
    for leaf in leaves(expression):
        if not isinstance(leaf, Constant):
            return evaluate(leaf, outcomes)
    return None
