"""What tests ask of a program that only the program could answer, found in their source alone.

A program has no say in this, so it cannot make a task invalid to get away with a failure.
"""

import ast
from collections.abc import Iterable, Iterator

_BUILTIN_ATTRIBUTES = {
    name for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, dict) for name in dir(kind)
}
_EQUALITIES = ("assertEqual", "assertNotEqual", "assertCountEqual", "assertIn", "assertNotIn")


def classes(trees: Iterable[ast.Module], names: Iterable[str]) -> frozenset[str]:
    """Return which of the program's names the tests use as classes.

    They do where they ask whether something is an instance of it, or where it begins as names of classes do and they
    take an attribute, of a name that no built-in value has, from what a call of it gave.
    """
    known, nodes = frozenset(names), _nodes(trees)
    made_by = _assigned(nodes, known)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr not in _BUILTIN_ATTRIBUTES:
            found |= {name for name in [_maker(node.value, known, made_by)] if name and name.lstrip("_")[:1].isupper()}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            found |= {n.id for part in node.args[1:] for n in ast.walk(part) if isinstance(n, ast.Name)} & known
    return frozenset(found)


def unjudged(trees: Iterable[ast.Module], of_program: frozenset[str]) -> str:
    """Return the first construct that has an object of one of those classes compute or compare, or nothing."""
    nodes = _nodes(trees)
    made_by = _assigned(nodes, of_program)
    for node in nodes:
        for operand in _judged(node):
            if name := _inside(operand, of_program, made_by):
                return f"`{ast.unparse(node)[:200]}` would let {name}, a class of the program, decide"
    return ""


def _judged(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions that a construct compares, hashes, computes with, or takes for true or false."""
    if isinstance(node, ast.Compare):
        for left, operation, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            if not isinstance(operation, (ast.Is, ast.IsNot)):
                yield left
                yield from () if isinstance(operation, (ast.In, ast.NotIn)) else (right,)
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, (ast.Assert, ast.If, ast.While, ast.IfExp)):
        yield node.test
    elif isinstance(node, ast.Set):
        yield from node.elts
    elif isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    elif isinstance(node, ast.Call):
        named = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if named == "hash" or named in _EQUALITIES:
            yield from node.args[:2]


def _nodes(trees: Iterable[ast.Module]) -> list[ast.AST]:
    return [node for tree in trees for node in ast.walk(tree)]


def _assigned(nodes: list[ast.AST], names: frozenset[str]) -> dict[str, str]:
    """Return the variables that never stand for anything but what a call of one such name gave."""
    stores: dict[str, int] = {}
    makers: dict[str, list[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stores[node.id] = stores.get(node.id, 0) + 1
        elif isinstance(node, ast.arg):
            stores[node.arg] = stores.get(node.arg, 0) + 1
        elif isinstance(node, ast.Assign) and (maker := _maker(node.value, names, {})):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    makers.setdefault(target.id, []).append(maker)
    return {
        variable: found[0]
        for variable, found in makers.items()
        if len(found) == stores[variable] and len(set(found)) == 1
    }


def _maker(node: ast.expr, names: frozenset[str], made_by: dict[str, str]) -> str | None:
    """The name whose call gave what an expression is, where that is plain to see."""
    if isinstance(node, ast.Name):
        return made_by.get(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
        return node.func.id
    return None


def _inside(node: ast.expr, names: frozenset[str], made_by: dict[str, str]) -> str | None:
    if isinstance(node, (ast.List, ast.Tuple)):  # compared member by member
        return next((name for part in node.elts if (name := _inside(part, names, made_by))), None)
    return _maker(node, names, made_by)
