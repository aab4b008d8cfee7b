"""Tests made of literals, as data: the calls to make in the sandbox, and what is asserted of their results here.

What a test expects never enters the sandbox. Any construct that is not understood exactly gives up on the whole
task (`compile_cases` returns none), and the tests are then run as they are, in a process of their own.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kat_data.sandbox.base import Call, Raised, Returned
from kat_data.verifiers.code.expression import Constant, Expression, evaluate, first_result
from kat_data.verifiers.code.operations import show
from kat_data.verifiers.code.scope import Names, Uncompilable

_LONGEST = 200_000
_MOST_CALLS = 5000
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """One statement of a test: the calls up to `calls` must have returned, and `expression`, if any, must be true."""

    test: int
    text: str
    calls: int
    expression: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """The calls of a task's tests in order, and the checks to make on their outcomes."""

    calls: tuple[Call, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first check that did not hold; `ended` is true where the program ended before its call, which says nothing.

    `error` is the class of what a call raised.
    """

    passed: int
    reason: str
    ended: bool = False
    error: str = ""


def compile_cases(
    tests: tuple[str, ...], entry: str | None, prelude: str = "", names: tuple[str, ...] = ()
) -> Plan | None:
    """Return the tests as data, or none where that cannot be done exactly; the plan is not to be changed.

    Only `entry` and `names` are called in the program.
    """
    if sum(map(len, tests)) + len(prelude) > _LONGEST:
        return None
    return _compiled(tests, entry, prelude, names)


@lru_cache(maxsize=512)
def _compiled(tests: tuple[str, ...], entry: str | None, prelude: str, names: tuple[str, ...]) -> Plan | None:
    try:
        plan = _Compiler(entry, names).compile(prelude, tests)
    except (Uncompilable, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return plan if plan.calls else None


def first_failure(plan: Plan, outcomes: Sequence[Returned | Raised]) -> Failure | None:
    """Return why the first test that does not hold fails; none means that each of them was seen to hold."""
    returned: list[Returned] = []
    for check in plan.checks:
        for outcome in outcomes[len(returned) : check.calls]:
            if isinstance(outcome, Raised):
                reason = f"{check.text}: {_call(plan, len(returned))} raised {outcome.error}: {outcome.message}"
                return _failure(check, reason[: 2 * _SHOWN], error=outcome.error)
            returned.append(outcome)
        if len(returned) < check.calls:
            return _failure(check, f"{check.text}: the program ended before it returned", ended=True)
        if check.expression is not None and (untrue := _untrue(check.expression, returned)):
            return _failure(check, f"{check.text}: {untrue}")
    return None


def _failure(check: Check, reason: str, *, ended: bool = False, error: str = "") -> Failure:
    return Failure(passed=check.test - 1, reason=f"test {check.test}: {reason}", ended=ended, error=error)


def _call(plan: Plan, number: int) -> str:
    return f"the call of {plan.calls[number].function}"


def _untrue(expression: Expression, returned: Sequence[Returned]) -> str | None:
    try:
        if evaluate(expression, returned):
            return None
        return f"not so for {show(first_result(expression, returned))}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:_SHOWN]}"


class _Compiler:
    """Runs tests in the abstract: what is known now is computed, what a call gives stands for itself."""

    def __init__(self, entry: str | None, names: Sequence[str]) -> None:
        self._entry = entry
        self._names = Names({*([entry] if entry else []), *names})
        self._checks: list[Check] = []
        self._test = 0
        self._lines: list[str] = []
        self._check: ast.FunctionDef | None = None
        self._check_called = False
        self._check_place: tuple[list[str], int] = ([], 0)

    def compile(self, prelude: str, tests: Sequence[str]) -> Plan:
        for self._test, text in enumerate((prelude, *tests)):
            self._lines = text.split("\n")
            for statement in _parse(text).body:
                self._statement(statement, outermost=True)
        if self._check is not None and not self._check_called:
            self._run_check(self._entry)
        return Plan(calls=tuple(self._names.calls), checks=tuple(self._checks))

    def _statement(self, statement: ast.stmt, *, outermost: bool = False) -> None:
        before = len(self._names.calls)
        match statement:
            case ast.Assert(test=test):
                for part in _conjuncts(test):
                    self._add(statement, self._names.expression(part))
                return
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._names.bind(name, self._names.expression(value))
            case ast.Import(names=names):
                self._names.bring([(alias.name, alias.asname or alias.name) for alias in names])
            case ast.ImportFrom(module=str(module), names=names, level=0):
                self._names.bring([(f"{module}.{alias.name}", alias.asname or alias.name) for alias in names])
            case ast.For():
                self._loop(statement)
            case ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=name)], keywords=[])) if (
                self._check is not None
            ):
                self._run_check(name)
            case ast.Expr(value=ast.Constant()) | ast.Expr(value=ast.Name(id="print")) | ast.Pass():
                return
            case ast.Expr(value=ast.Call() as call):
                self._names.expression(call)
            case ast.FunctionDef(name="check") if outermost and self._test:
                self._define(statement)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) if not self._test:
                self._names.hide(name)
            case _:
                raise Uncompilable(f"a statement of the kind {type(statement).__name__}")
        if len(self._names.calls) > before and not isinstance(statement, ast.For):
            self._add(statement, None)

    def _add(self, statement: ast.stmt, expression: Expression | None) -> None:
        if not self._test:
            raise Uncompilable("a prelude that calls the program")
        if len(self._names.calls) > _MOST_CALLS:
            raise Uncompilable("too many calls")
        text = " ".join(self._lines[statement.lineno - 1 : statement.end_lineno]).strip()[:_SHOWN]
        self._checks.append(Check(test=self._test, text=text, calls=len(self._names.calls), expression=expression))

    def _loop(self, loop: ast.For) -> None:
        items = self._names.expression(loop.iter)
        if loop.orelse or not isinstance(items, Constant):
            raise Uncompilable("a loop over what is not known")
        for item in _some(items.value):
            self._assign(loop.target, item)
            for statement in loop.body:
                self._statement(statement)

    def _assign(self, target: ast.expr, item: Any) -> None:
        match target:
            case ast.Name(id=name):
                self._names.bind(name, Constant(item))
            case ast.Tuple(elts=parts) if type(item) in (tuple, list) and len(item) == len(parts):
                for part, value in zip(parts, item, strict=True):
                    self._assign(part, value)
            case _:
                raise Uncompilable("a loop's target")

    def _define(self, function: ast.FunctionDef) -> None:
        plain = ast.arguments(posonlyargs=[], args=function.args.args, kwonlyargs=[], kw_defaults=[], defaults=[])
        if len(function.args.args) != 1 or function.decorator_list or self._check is not None:
            raise Uncompilable("another kind of `check`")
        if ast.dump(function.args) != ast.dump(plain):
            raise Uncompilable("another kind of `check`")
        self._check, self._check_place = function, (self._lines, self._test)

    def _run_check(self, name: str | None) -> None:
        if self._check is None or self._check_called or name is None or name != self._entry:
            raise Uncompilable("another kind of call of `check`")
        self._check_called = True
        self._names.alias(self._check.args.args[0].arg, name)
        here, (self._lines, self._test) = (self._lines, self._test), self._check_place
        for statement in self._check.body:
            self._statement(statement)
        self._lines, self._test = here


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text.replace("\r\n", "\n"))


def _conjuncts(test: ast.expr) -> Iterator[ast.expr]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _conjuncts(part)
    else:
        yield test


def _some(values: Any) -> list[Any]:
    if type(values) not in (list, tuple, range, dict, str) or len(values) > _MOST_CALLS:
        raise Uncompilable("a loop of that kind")
    return list(values)
