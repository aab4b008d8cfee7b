"""The zygote and what it forks, in a process of its own: tests do not fork themselves."""

import json
import subprocess
import sys
from typing import Any

import pytest

BEGIN = """
import json, os, signal, sys, time
from kat_data.sandbox.inside import privilege, processes
from kat_data.sandbox.inside.processes import Processes, SlotBroken

LIMITS = {"address_space": 8 << 30, "cpu": 60, "file": 1 << 20, "pids": 0}
privilege.hide(end_with_parent=False)
slot = Processes()

def start(source, **request):
    given, its = os.pipe()
    os.write(its, source.encode())
    os.close(its)
    null = os.open(os.devnull, os.O_RDWR)
    out, its_out = os.pipe()
    pid = slot.start("script", [null, its_out, null, given], user=None, folder="/tmp", limits=LIMITS, grouped=True,
                     **request)
    for descriptor in (null, its_out, given):
        os.close(descriptor)
    return pid, os.fdopen(out)

def say(**words):
    print(json.dumps(words))
"""


def said(script: str) -> Any:
    """Run a script that has a slot's processes; return what it says at the end."""
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("source", "status"),
    [("pass", 0), ("raise SystemExit(9)", 9), ("import os; os.kill(os.getpid(), 11)", -11), ("1 / 0", 1)],
)
def test_a_process_is_reaped_with_its_status(source: str, status: int) -> None:
    assert said(f"pid, out = start({source!r})\nsay(status=slot.reap(pid))\n") == {"status": status}


def test_a_program_sees_what_it_was_given_and_nothing_else() -> None:
    source = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1], os.getsid(0) == os.getpid())\n"
    source += "print(sorted(os.environ), os.getcwd())"
    found = said(f"os.environ['SECRET'] = 'x'\npid, out = start({source!r})\nsay(out=out.read())\nslot.reap(pid)\n")
    assert found["out"] == "[0, 1, 2] True\n['HOME', 'LANG', 'PATH', 'TMPDIR'] /tmp\n"


def test_others_are_all_but_supervisor_and_zygote() -> None:
    found = said(
        "before = slot.others()\n"
        "pid, out = start('import time; time.sleep(60)')\n"
        "during = slot.others() == [pid]\n"
        "cleared = slot.clear()\n"
        "say(before=before, during=during, cleared=cleared, after=slot.others())\n"
    )
    assert found == {"before": [], "during": True, "cleared": True, "after": []}


def test_daemons_in_sessions_of_their_own_are_ended_too() -> None:
    daemon = (
        "import os, signal, time\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        if os.fork() == 0:\n"
        "            print('up', flush=True)\n"
        "            time.sleep(60)\n"
        "        os._exit(0)\n"
    )
    found = said(
        f"pid, out = start({daemon!r})\n"
        "up = [out.readline() for _ in range(5)]\n"
        "status = slot.reap(pid)\n"
        "left = len(slot.others())\n"
        "say(up=len(up), status=status, left=left >= 5, cleared=slot.clear(), after=slot.others())\n"
    )
    assert found == {"up": 5, "status": 0, "left": True, "cleared": True, "after": []}


def test_what_cannot_be_ended_is_said() -> None:
    found = said(
        "processes.kill = lambda pid: None\n"
        "processes._CLEARING_SECONDS = 0.1\n"
        "slot.others = lambda: [1]\n"
        "say(cleared=slot.clear())\n"
    )
    assert found == {"cleared": False}


def test_a_slot_without_its_zygote_is_broken() -> None:
    found = said(
        "os.kill(slot._pid, signal.SIGKILL)\n"
        "os.waitpid(slot._pid, 0)\n"
        "try:\n    start('pass')\nexcept SlotBroken as error:\n    say(error=str(error))\n"
    )
    assert found["error"].startswith("the zygote is gone")


def test_a_process_that_cannot_be_set_up_is_no_program() -> None:
    found = said(
        "del LIMITS['cpu']\n"
        "try:\n    start('print(1)')\nexcept SlotBroken as error:\n    say(error=str(error), others=slot.others())\n"
    )
    assert found["error"].startswith("a program cannot be started: KeyError")
    assert found["others"] == []
