"""Names and expressions of tests while they are compiled: which calls they make, and what is known of each name."""

import ast
import builtins
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from kat_data.sandbox.base import Call
from kat_data.verifiers.code.expression import (
    Apply,
    Argument,
    Constant,
    Either,
    Expression,
    Result,
    Shape,
    evaluate,
    leaves,
)
from kat_data.verifiers.code.operations import BINARY, COMPARE, CONSTANTS, FUNCTIONS, TYPES, UNARY

_MUTABLE = (list, dict, set, bytearray)
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DEEPEST = 100
_BUILTINS = frozenset(vars(builtins))


class Uncompilable(Exception):
    """A test holds what is not understood exactly; it is run as it is."""


class _Hidden:
    """What stands for a name that means something here which is not known."""


_Meaning = Expression | _Hidden


class Names:
    """What the tests' names mean at one point, and the calls made up to there.

    An object that was an argument may have been changed by the program. It is then known as that argument after the
    call, and may not be part of anything else.
    """

    def __init__(self, functions: set[str]) -> None:
        self.calls: list[Call] = []
        self._functions = functions
        self._aliases: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        self._meanings: dict[str, _Meaning] = {}
        self._fed: dict[int, Argument | None] = {}
        self._alive: list[Any] = []

    def bind(self, name: str, meaning: Expression) -> None:
        """Let a name stand for a value."""
        if name in self._functions or name in _BUILTINS or name in self._modules or name in self._aliases:
            raise Uncompilable(f"{name} gets another meaning")
        self._meanings[name] = meaning

    def hide(self, name: str) -> None:
        """Note that a name means something which only the tests' own process knows."""
        self._meanings[name] = _Hidden()

    def alias(self, name: str, function: str) -> None:
        """Let a name stand for a function of the program."""
        if name in self._meanings or name in _BUILTINS:
            raise Uncompilable(f"{name} gets another meaning")
        self._aliases[name] = function

    def bring(self, imports: Sequence[tuple[str, str]]) -> None:
        """Note imports; those of `math` are known here, others of Python's own only if they are never used."""
        for full, name in imports:
            root = full.partition(".")[0]
            if root not in sys.stdlib_module_names or name == "*" or name in self._functions:
                raise Uncompilable(f"import of {full}")
            if full == "math" or (root == "math" and (full in FUNCTIONS or full in CONSTANTS)):
                self._modules[name] = full
            else:
                self.hide(name.partition(".")[0])

    def expression(self, node: ast.expr) -> Expression:
        """Return what an expression means now; the calls that it makes are added in Python's order."""
        match node:
            case ast.Constant(value=value) if type(value) in _PLAIN:
                return Constant(value)
            case ast.Name(id=name):
                return self._read(name)
            case ast.Attribute(value=ast.Name(id=module), attr=member) if self._modules.get(module) == "math":
                return Constant(_known(f"math.{member}"))
            case ast.List(elts=parts):
                return self._shape(list, parts)
            case ast.Tuple(elts=parts):
                return self._shape(tuple, parts)
            case ast.Set(elts=parts):
                return self._shape(FUNCTIONS["set"], parts)
            case ast.Dict(keys=keys, values=values) if all(key is not None for key in keys):
                pairs = [ast.Tuple([key, value]) for key, value in zip(keys, values, strict=True) if key]
                return self._shape(FUNCTIONS["dict"], pairs)
            case ast.UnaryOp(op=op, operand=operand):
                return _folded(Apply(UNARY[type(op).__name__], (self.expression(operand),)))
            case ast.BinOp(left=left, op=op, right=right) if type(op).__name__ in BINARY:
                operands = (self.expression(left), self.expression(right))
                return _folded(Apply(BINARY[type(op).__name__], operands))
            case ast.BoolOp(op=op, values=values):
                return self._either(values, stop=isinstance(op, ast.Or))
            case ast.Compare():
                return self._compare(node)
            case ast.Subscript(value=value, slice=ast.expr() as index) if not isinstance(index, ast.Slice):
                return _folded(Apply(_item, (self.expression(value), self.expression(index))))
            case ast.Subscript(value=value, slice=ast.Slice() as cut):
                ends = [Constant(None) if end is None else end for end in (cut.lower, cut.upper, cut.step)]
                sliced = [end if isinstance(end, Constant) else self.expression(end) for end in ends]
                return _folded(Apply(_slice, (self.expression(value), *sliced)))
            case ast.Call():
                return self._call(node)
        raise Uncompilable(f"an expression of the kind {type(node).__name__}")

    def _read(self, name: str) -> Expression:
        meaning = self._meanings.get(name)
        if meaning is None and name not in self._functions and name not in self._aliases:
            if (full := self._modules.get(name)) in CONSTANTS:
                return Constant(CONSTANTS[full or ""])
            if name in TYPES:
                return Constant(TYPES[name])
        if meaning is None or isinstance(meaning, _Hidden):
            raise Uncompilable(f"{name} is not known here")
        if isinstance(meaning, Constant) and (fed := self._fed.get(id(meaning.value))):
            return fed
        if any(id(part) in self._fed for leaf in leaves(meaning) for part in _mutable(leaf)):
            raise Uncompilable(f"{name} may have been changed")
        return meaning

    def _shape(self, make: Any, parts: Sequence[ast.expr]) -> Expression:
        return _folded(Shape(make, tuple(self.expression(part) for part in parts)))

    def _either(self, values: Sequence[ast.expr], *, stop: bool) -> Expression:
        first = self.expression(values[0])
        made = len(self.calls)
        operands = (first, *(self.expression(value) for value in values[1:]))
        if len(self.calls) > made:
            raise Uncompilable("a call that may not be made")
        return _folded(Either(operands, stop))

    def _compare(self, node: ast.Compare) -> Expression:
        operands = [self.expression(node.left), self.expression(node.comparators[0])]
        made = len(self.calls)
        operands += [self.expression(other) for other in node.comparators[1:]]
        if len(self.calls) > made:
            raise Uncompilable("a call that may not be made")
        parts = []
        for op, one, other in zip(node.ops, operands[:-1], operands[1:], strict=True):
            if isinstance(op, ast.Is | ast.IsNot) and not _is_single(other) and not _is_single(one):
                raise Uncompilable("a comparison of identities")
            parts.append(_folded(Apply(COMPARE[type(op).__name__], (one, other))))
        return parts[0] if len(parts) == 1 else _folded(Either(tuple(parts), stop=False))

    def _call(self, node: ast.Call) -> Expression:
        if any(isinstance(part, ast.Starred) for part in node.args) or any(k.arg is None for k in node.keywords):
            raise Uncompilable("arguments of unknown number")
        match node.func:
            case ast.Name(id=name):
                function = self._aliases.get(name, name)
                own = function in self._functions
            case ast.Attribute(value=ast.Name(id=module), attr=member) if self._modules.get(module) == "math":
                function, own = f"math.{member}", False
            case _:
                raise Uncompilable("a call of something else")
        operands = tuple(self.expression(part) for part in node.args)
        named = {str(keyword.arg): self.expression(keyword.value) for keyword in node.keywords}
        full = self._modules.get(function, function)
        if not own and function not in self._meanings and full in FUNCTIONS:
            return _folded(Apply(FUNCTIONS[full], operands, named))
        if function in self._meanings or (not own and (full in _BUILTINS or "." in full or full == "math")):
            raise Uncompilable(f"a call of {full}")
        if not own:
            raise Uncompilable(f"{function} is not said to be the program's")
        return self._feed(function, operands, named)

    def _feed(self, function: str, operands: Sequence[Expression], named: dict[str, Expression]) -> Expression:
        number = len(self.calls)
        for position, operand in enumerate((*operands, *named.values())):
            if not isinstance(operand, Constant) or not _is_plain(operand.value):
                raise Uncompilable("an argument that is not known before the call")
            for part in _mutable(operand):
                if id(part) in self._fed:
                    raise Uncompilable("an argument that an earlier call may have changed")
                whole = part is operand.value and position < len(operands)
                self._fed[id(part)] = Argument(number, position) if whole else None
                self._alive.append(part)
        arguments = tuple(operand.value for operand in operands if isinstance(operand, Constant))
        keywords = {name: value.value for name, value in named.items() if isinstance(value, Constant)}
        self.calls.append(Call(function=function, arguments=arguments, keywords=keywords))
        return Result(number)


def _folded(expression: Expression) -> Expression:
    """The value itself, where it is known already."""
    if not all(isinstance(leaf, Constant) for leaf in leaves(expression)):
        return expression
    try:
        return Constant(evaluate(expression, ()))
    except Exception as error:
        raise Uncompilable(str(error)) from None


def _item(value: Any, index: Any) -> Any:
    return value[index]


def _slice(value: Any, *ends: Any) -> Any:
    return value[slice(*ends)]


def _known(name: str) -> Any:
    if name not in CONSTANTS:
        raise Uncompilable(f"{name} is not known here")
    return CONSTANTS[name]


def _is_single(expression: Expression) -> bool:
    """Whether an expression is a value of which there is only one."""
    if not isinstance(expression, Constant):
        return False
    return expression.value is None or isinstance(expression.value, bool | type)


def _mutable(leaf: Expression) -> Iterator[Any]:
    """The objects in a known value that a program could change."""
    rest = [leaf.value] if isinstance(leaf, Constant) else []
    while rest:
        part = rest.pop()
        if type(part) in _MUTABLE:
            yield part
        if type(part) is dict:
            rest.extend(part.values())
        elif type(part) in (list, tuple):
            rest.extend(part)


def _is_plain(value: Any, depth: int = 0) -> bool:
    if type(value) is dict:
        return depth < _DEEPEST and all(_is_plain(p, depth + 1) for pair in value.items() for p in pair)
    if type(value) in (list, tuple, set, frozenset):
        return depth < _DEEPEST and all(_is_plain(part, depth + 1) for part in value)
    return type(value) in _PLAIN
