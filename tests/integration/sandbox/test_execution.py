"""An agent's programs run beside its files, in the sandbox."""

import pytest

from kat_data.verifiers.code.execution import execute

pytestmark = pytest.mark.integration


def test_programs_see_the_files_and_say_what_they_print(sandbox) -> None:
    files = {"solution.py": "def add(a, b):\n    return a + b\n", "data/names.txt": "é\n"}
    ran = execute(sandbox, files, "from solution import add\nprint(add(1, 2), open('data/names.txt').read().strip())")
    assert (ran.output, ran.trouble) == ("3 é", "")


def test_a_traceback_begins_at_the_agent_s_own_code(sandbox) -> None:
    ran = execute(sandbox, {"solution.py": "def f():\n    return 1 / 0\n"}, "import solution\nsolution.f()")
    assert ran.trouble == "exit status 1"
    first, second, *rest = ran.output.splitlines()
    assert first.startswith("Traceback")
    assert second == '  File "main.py", line 2, in <module>'
    assert rest[-1] == "ZeroDivisionError: division by zero"


def test_what_one_program_leaves_the_next_does_not_see(sandbox) -> None:
    execute(sandbox, {}, "open('left.txt', 'w').write('x')")
    assert execute(sandbox, {}, "import os\nprint(os.path.exists('left.txt'))").output == "False"


@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        ("raise SystemExit(3)", "exit status 3"),
        ("def (", "exit status 1"),
        ("print('x' * 10_000_000)", "it printed too much"),
        ("import os\nos.kill(os.getpid(), 9)", "signal 9"),
    ],
)
def test_how_a_program_ends_is_told(sandbox, source: str, trouble: str) -> None:
    ran = execute(sandbox, {}, source)
    assert ran.trouble == trouble
    assert len(ran.output) < 9_000
