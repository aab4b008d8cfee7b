"""The supervisor by its protocol, in a process of its own that isolates nothing."""

import base64
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kat_data.sandbox import boot
from kat_data.sandbox.inside import frames

LIMITS = {"wall_s": 10.0, "memory_mb": 256, "output_bytes": 10_000, "pids": 32}


class Slot:
    """A supervisor and the frames to and from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, *boot.COMMAND[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        config = {"users": None, "folder": str(folder), "wiped": [str(folder)], "grouped": False, "files": {}}
        self._send(boot.payload(config))
        self.first = self.answer()

    def ask(self, op: str, **request: Any) -> Any:
        self.tell(op, **request)
        return self.answer()

    def tell(self, op: str, **request: Any) -> None:
        self._send(frames.pack({"op": op, **request}))

    def load(self, source: str, language: str = "python", **limits: float) -> None:
        self.tell("load", source=source, language=language, limits={**LIMITS, **limits})

    def run(self, *inputs: bytes) -> list[dict[str, Any]]:
        runs = self.ask("run", inputs=[base64.b64encode(given).decode() for given in inputs])["runs"]
        return [{**run, "stdout": base64.b64decode(run["stdout"])} for run in runs]

    def answer(self) -> Any:
        assert self._process.stdout is not None
        (length,) = frames.LENGTH.unpack(self._process.stdout.read(4))
        return frames.unpack(self._process.stdout.read(length))

    def zygote(self) -> int:
        [zygote] = map(int, Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split())
        return zygote

    def leave(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        code = self._process.wait(20)
        self._process.stdout.close()
        return code

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slot]:
    """A slot that the programs of this file share, as programs do."""
    slot = Slot(tmp_path_factory.mktemp("slot"))
    yield slot
    slot.leave()


def test_it_says_first_what_it_can_do(slot: Slot) -> None:
    assert slot.first["python"].startswith(f"3.{sys.version_info.minor}")
    assert slot.first["compiler"] is os.access("/usr/bin/g++", os.X_OK)


def test_runs_go_up_to_the_first_that_is_not_clean(slot: Slot) -> None:
    slot.load("import sys\nn = int(input())\nprint(n)\nsys.exit(n == 2)")
    runs = slot.run(b"1", b"2", b"3")
    assert [(run["ending"], run["code"], run["stdout"]) for run in runs] == [
        ("exited", 0, b"1\n"),
        ("exited", 1, b"2\n"),
    ]


def test_limits_are_those_of_the_program(slot: Slot) -> None:
    slot.load("while True: pass", wall_s=0.2)
    assert [run["ending"] for run in slot.run(b"", b"")] == ["timeout"]
    slot.load("print('x' * 20_000)")
    assert [run["ending"] for run in slot.run(b"")] == ["output_limit"]
    slot.load("x = bytearray(300 << 20)\nimport time\ntime.sleep(9)")
    assert [run["ending"] for run in slot.run(b"")] == ["memory"]


def test_only_the_end_of_an_error_is_kept(slot: Slot) -> None:
    slot.load("import sys\nsys.stderr.write('x' * 5000 + 'end')")
    [run] = slot.run(b"")
    assert len(run["stderr"]) == 2000
    assert run["stderr"].endswith("xend")


def test_calls_are_answered_with_the_programs_own_frames(slot: Slot) -> None:
    slot.load("def f(x): return [x]\n")
    answer = slot.ask("call", calls=[{"f": "f", "a": [3], "k": {}}, {"f": "g", "a": [], "k": {}}])
    loaded, first, second = map(frames.unpack, frames.split(base64.b64decode(answer["answers"])))
    assert (loaded, first, second["e"]) == ({"v": None}, {"v": [3]}, "NameError")
    assert (answer["ending"], answer["code"]) == ("exited", 0)


@pytest.mark.parametrize(
    ("source", "reports"),
    [
        ("def f(x): return x", {"done": 1, "passed": True}),
        ("def f(x): return 0", {"done": 0, "failure": "test 1: assert f(3) == 3: AssertionError", "fault": False}),
        ("import os\ndef f(x): os._exit(0)", {"gone": True}),
    ],
)
def test_the_testers_own_report_is_all_that_says_passed(slot: Slot, source: str, reports: dict[str, Any]) -> None:
    slot.load(source)
    suite = {"tests": ["assert f(3) == 3"], "entry": "f", "names": [], "prelude": ""}
    answer = slot.ask("test", suite=suite)
    [report] = frames.split(base64.b64decode(answer["report"]))
    assert frames.unpack(report) == reports
    assert answer["ending"] == "exited"


def test_a_program_that_hangs_after_its_tests_is_ended(slot: Slot) -> None:
    slot.load("import threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()\ndef f(x): return x\n")
    suite = {"tests": ["assert f(3) == 3"], "entry": "f", "names": [], "prelude": ""}
    answer = slot.ask("test", suite=suite)
    assert answer["program"][0] in ("timeout", "exited")
    assert slot.ask("end") == {"clean": True}


def test_nothing_is_left_at_the_end(slot: Slot) -> None:
    source = "import os, time\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\nos.chmod('a', 0)\n"
    source += "if os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\n"
    slot.load(source)
    slot.ask("call", calls=[])
    assert [path.name for path in slot.folder.iterdir()] == ["a"]
    assert slot.ask("end") == {"clean": True}
    assert list(slot.folder.iterdir()) == []
    slot.load("print(input())")
    assert slot.run(b"again")[0]["stdout"] == b"again\n"


def test_every_case_begins_with_empty_folders(slot: Slot) -> None:
    slot.load("import os\nprint(os.listdir('.'))\nos.mkdir('kept')\nopen('kept/a', 'w').write(input())\n")
    assert [run["stdout"] for run in slot.run(b"1", b"2")] == [b"[]\n"] * 2
    assert list(slot.folder.iterdir()) == []
    slot.load("open('/proc/self/exe').close()\nprint(__file__)")
    assert slot.run(b"")[0]["stdout"] == f"{slot.folder}/program.py\n".encode()


def test_a_compiled_program_is_the_same_in_every_case(slot: Slot) -> None:
    if not slot.first["compiler"]:
        pytest.skip("no compiler here")
    source = "#include <cstdio>\n#include <fcntl.h>\n#include <unistd.h>\nint main() {\n"
    source += 'int e = open("/proc/self/exe", O_WRONLY), o = open("/proc/self/fd/3", O_RDWR);\n'
    source += 'printf("%d %d %d", e, o, ftruncate(3, 0));\n}\n'
    slot.load(source, "cpp")
    assert [run["stdout"] for run in slot.run(b"", b"")] == [b"-1 -1 -1"] * 2


def test_what_cannot_be_removed_is_said(slot: Slot) -> None:
    slot.load("pass")
    slot.run(b"")
    (slot.folder / "open").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", slot.folder / "open"], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        assert slot.ask("end") == {"clean": False}
    finally:
        subprocess.run(["umount", slot.folder / "open"], check=True)


def test_a_slot_whose_zygote_is_gone_says_so_and_ends(tmp_path: Path) -> None:
    slot = Slot(tmp_path)
    os.kill(slot.zygote(), signal.SIGKILL)
    slot.load("pass")
    assert "zygote is gone" in slot.ask("run", inputs=[""])["broken"]
    assert slot.leave() == 0


def test_it_ends_with_its_host_and_its_zygote_with_it(tmp_path: Path) -> None:
    slot = Slot(tmp_path)
    zygote = os.pidfd_open(slot.zygote())
    assert slot.leave() == 0
    ended, _, _ = select.select([zygote], [], [], 10)
    os.close(zygote)
    assert ended
