"""What tests ask of a program that only the program could answer, found in their source alone.

A program has no say in this, so it cannot make a task invalid to get away with a failure.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Iterator

_BUILTIN_ATTRIBUTES = {
    name for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, dict) for name in dir(kind)
}
# What Python says of an object itself: of a handle it says nothing on the program's.
_ABOUT = {
    "__doc__", "__annotations__", "__code__", "__defaults__", "__kwdefaults__", "__closure__",
    "__signature__", "__qualname__", "__module__", "__mro__", "__bases__", "__wrapped__", "__subclasses__",
}  # fmt: skip
_KNOWN_KINDS = set(dir(builtins)) | {
    "NoneType", "Counter", "OrderedDict", "defaultdict", "deque", "Fraction", "Decimal", "date", "datetime", "time",
    "timedelta", "timezone", "dict_keys", "dict_values", "dict_items",
}  # fmt: skip
_PATCHED = re.compile(r"\b(sys|builtins)\W+(stdin|stdout|stderr|input|print)\b")
_REDIRECTED = {"sys.stdout", "sys.stderr", "sys.stdin", "builtins.input", "builtins.print"}
_REDIRECTING = {"redirect_stdout", "redirect_stderr", "redirect_stdin"}
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


def unjudged(trees: Iterable[ast.Module], of_program: frozenset[str], names: Iterable[str] = ()) -> str:
    """Return the first construct that has an object of one of those classes compute or compare, or nothing.

    Also none can rest on what tests ask Python of the program's `names` and of what they give, or on output and input
    that the tests take from or give to the program: it runs in another process.
    """
    nodes, known = _nodes(trees), frozenset(names)
    made_by = _assigned(nodes, of_program)
    caught = {node.name for node in nodes if isinstance(node, ast.ExceptHandler)}
    asked = _Asked(known, _assigned(nodes, known), caught)
    for node in nodes:
        for operand in _judged(node):
            if name := _inside(operand, of_program, made_by):
                return f"`{ast.unparse(node)[:200]}` would let {name}, a class of the program, decide"
        if why := _redirects(node) or asked.about(node):
            return f"`{ast.unparse(node)[:200]}` {why}"
    return ""


def _redirects(node: ast.AST) -> str:
    """Why a construct that takes a program's output, or feeds its input, finds nothing in this process."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    assigned = any(ast.unparse(target) in _REDIRECTED for target in targets)
    called = _called(node)
    if assigned or called in _REDIRECTING:
        return "takes output or input of the tests' own process: the program runs in another"
    if called in ("patch", "object", "setattr") and _PATCHED.search(ast.unparse(node)):
        return "patches the tests' own process: the program runs in another"
    return ""


class _Asked:
    """Finds what tests ask of the program's objects that only Python in the program's own process could tell."""

    def __init__(self, names: frozenset[str], made_by: dict[str, str], caught: set[str | None]) -> None:
        self._names, self._made_by, self._caught = names, made_by, caught

    def about(self, node: ast.AST) -> str:
        """Why no verdict can rest on a construct, or nothing."""
        if isinstance(node, ast.Attribute) and node.attr in _ABOUT and self._of_program(node.value):
            return f"asks for {node.attr} of an object of the program"
        if (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("inspect.")) or (
            isinstance(node, ast.ImportFrom) and node.module == "inspect"
        ):
            return "inspects the program's objects"
        if isinstance(node, ast.Compare):
            return self._compared(node)
        return ""

    def _compared(self, node: ast.Compare) -> str:
        sides = [node.left, *node.comparators]
        if any(map(self._is_kind, sides)) and any(map(self._names_kind, sides)):
            return "asks for the class of an object of the program"
        equal = all(isinstance(operation, (ast.Eq, ast.NotEq)) for operation in node.ops)
        if equal and any(map(self._is_member, sides)) and sum(map(self._of_program, sides)) > 1:
            return "would let objects of the program decide"
        return ""

    def _of_program(self, node: ast.expr) -> bool:
        """Whether an expression is what the program calls so, or what that gave, or is a member of either."""
        if isinstance(node, ast.Name):
            return node.id in self._names or node.id in self._made_by
        if isinstance(node, ast.Call):
            return self._of_program(node.func)
        if isinstance(node, (ast.List, ast.Tuple)):
            return any(map(self._of_program, node.elts))
        return isinstance(node, (ast.Attribute, ast.Subscript)) and self._of_program(node.value)

    def _names_kind(self, node: ast.expr) -> bool:
        """Whether an expression is a class of the program, or the name of one that is none of Python's own."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and node.value not in _KNOWN_KINDS
        return isinstance(node, ast.Name) and node.id in self._names

    def _is_kind(self, node: ast.expr) -> bool:
        """Whether an expression is a class that was asked for, or its name; those of exceptions cross over."""
        if isinstance(node, ast.Attribute) and node.attr == "__name__":
            return self._is_kind(node.value)
        if isinstance(node, ast.Attribute) and node.attr == "__class__":
            return not (isinstance(node.value, ast.Name) and node.value.id in self._caught)
        if _called(node) != "type" or not isinstance(node, ast.Call) or len(node.args) != 1:
            return False
        return not (isinstance(node.args[0], ast.Name) and node.args[0].id in self._caught)

    def _is_member(self, node: ast.expr) -> bool:
        """Whether an expression plainly is an object of a class: `Point(1, 2)`, `Colour.RED`."""
        if isinstance(node, (ast.List, ast.Tuple)):
            return any(map(self._is_member, node.elts))
        maker = node.func if isinstance(node, ast.Call) else node.value if isinstance(node, ast.Attribute) else None
        if not isinstance(maker, ast.Name) or maker.id not in self._names:
            return False
        of_class = maker.id.lstrip("_")[:1].isupper() and "_" not in maker.id.strip("_")
        return of_class and (isinstance(node, ast.Call) or (isinstance(node, ast.Attribute) and node.attr.isupper()))


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


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
