"""The process that runs a task's tests, under another user than the program: it alone can say that they passed.

The program's functions are called over a socket with plain values; whatever comes back is a value of a built-in type,
or a `Remote`, which is a handle of an object there.
"""

import ast
import contextlib
import importlib
import json
import linecache
import socket
from typing import Any

from kat_data.sandbox.inside import frames
from kat_data.sandbox.inside.free_names import free_names, library_modules
from kat_data.sandbox.inside.program import read
from kat_data.sandbox.inside.remote import RemoteFunction
from kat_data.sandbox.inside.report import Failed, report
from kat_data.sandbox.inside.session import Session
from kat_data.sandbox.inside.unjudged import classes, unjudged


def run_tests() -> None:
    """Run the suite in descriptor 4 against the program at descriptor 5 and report on descriptor 3."""
    suite = json.loads(read(4))
    channel = frames.Channel(socket.socket(fileno=5), suite["output"])
    session = Session(channel)
    try:
        prelude, tests = _compile(suite)
        channel.send({"output": suite["output"]})
        session.loaded()
        names = _names(session, suite, [prelude, *tests])
    except Failed as error:
        report(done=0, **error.words)
    for test in tests:
        _run(test, names, session)
        session.done += 1
    if not session.calls:
        report(done=0, failure="the tests never call the program", fault=True)
    report(done=session.done, passed=True)


Code = tuple[ast.Module, Any]


def _compile(suite: dict[str, Any]) -> tuple[Code, list[Code]]:
    texts = {"prelude": suite["prelude"]} | {f"test {i + 1}": text for i, text in enumerate(suite["tests"])}
    found: list[Code] = []
    for name, text in texts.items():
        try:
            tree = ast.parse(text, name)
            found.append((tree, compile(tree, name, "exec", dont_inherit=True)))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Failed(f"{name} does not compile: {error}", fault=True) from None
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    trees = [tree for tree, _ in found]
    theirs = [suite["entry"] or "", *suite["names"]]
    if why := unjudged(trees, classes(trees, theirs), theirs):
        raise Failed(why, fault=True)
    tests = found[1:]
    if suite["entry"] and _defines_check_uncalled([tree for tree, _ in tests]):
        call = ast.parse(f"check({suite['entry']})", "check")
        tests.append((call, compile(call, "check", "exec")))
    return found[0], tests


def _defines_check_uncalled(trees: list[ast.Module]) -> bool:
    """Whether the tests are of HumanEval's kind: a function `check(candidate)` that the harness has to call."""
    statements = [node for tree in trees for node in tree.body]
    defined = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in statements)
    outside = [node for node in statements if not isinstance(node, ast.FunctionDef)]
    used = {n.id for node in outside for n in ast.walk(node) if isinstance(n, ast.Name)}
    return defined and "check" not in used


def _names(session: Session, suite: dict[str, Any], code: list[Code]) -> dict[str, Any]:
    """Return the names that the tests start with.

    They are the program's, as far as the task names them, then what the prelude makes, then the entry. Whatever else
    the program defines means nothing here, or it could bring a yardstick of its own.
    """
    trees = [tree for tree, _ in code]
    names: dict[str, Any] = {"__name__": "tests"}
    for module in library_modules(trees):
        with contextlib.suppress(ImportError):
            names[module] = importlib.import_module(module)
    entry = {suite["entry"]: RemoteFunction(session, {"f": suite["entry"]}, suite["entry"])} if suite["entry"] else {}
    names.update(entry)
    for name in free_names(trees):
        if name in entry:
            continue
        if name not in suite["names"]:
            raise Failed(f"the tests use {name}, which is not defined: add it to the task's `names`", fault=True)
        names.update(session.name(name))
    try:
        exec(code[0][1], names)  # noqa: S102
    except BaseException as error:
        raise Failed(f"the prelude raises {type(error).__name__}: {error}", fault=True) from None
    return names | entry


def _run(test: Code, names: dict[str, Any], session: Session) -> None:
    try:
        exec(test[1], names)  # noqa: S102
    except BaseException as error:
        session.fail(_describe(error))


def _describe(error: BaseException) -> str:
    """Return the line of the tests that failed, and why."""
    line = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in linecache.cache and name.startswith(("test ", "check")):
            line = f"{name}: {linecache.getline(name, trace.tb_lineno).strip()}"
        trace = trace.tb_next
    try:
        said = str(error)
    except BaseException:
        said = ""
    return f"{line}: {type(error).__name__}" + (f": {said}" if said else "")
