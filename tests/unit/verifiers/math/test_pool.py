import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kat_data.errors import VerifierFault
from kat_data.verifiers.math import pool as math_pool
from kat_data.verifiers.math.pool import MathPool, Worker, WorkerDiedError
from kat_data.verifiers.math.worker import FRAME_LIMIT, pack, unpack


def test_a_worker_that_was_killed_from_outside_is_replaced() -> None:
    pool = MathPool(size=1, deadline=20.0)
    assert not pool.compare("x+x", "3x")["equal"]
    (killed,) = pool.pids()
    os.kill(killed, signal.SIGKILL)
    assert pool.compare("x+x", "2x")["equal"]
    assert pool.pids() != (killed,)
    pool.close()


def test_workers_that_die_twice_in_a_row_are_a_fault_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_pool.sys, "executable", shutil.which("false"))
    with pytest.raises(VerifierFault, match="twice in a row"):
        MathPool(size=1).compare("1", "2")


def test_eight_threads_share_two_workers(pool: MathPool) -> None:
    pairs = [(f"x^2-{n * n}", f"(x-{n})(x+{n + n % 2})") for n in range(2, 34)]
    with ThreadPoolExecutor(8) as threads:
        equal = list(threads.map(lambda pair: pool.compare(*pair)["equal"], pairs))
    assert equal == [n % 2 == 0 for n in range(2, 34)]
    assert 1 <= len(pool.pids()) <= 2


def test_a_worker_gets_no_secrets_and_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-the-parent")
    worker = Worker()
    environment = Path(f"/proc/{worker.pid}/environ")
    assert not environment.exists() or b"secret-of-the-parent" not in environment.read_bytes()
    worker._process.stdin.close()
    assert worker._process.wait(timeout=10) == 0
    worker.kill()


def test_importing_the_verifiers_does_not_import_sympy() -> None:
    code = "import sys, kat_data.verifiers.labelled; sys.exit('sympy' in sys.modules or 'math_verify' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_frames_come_back_whole_or_not_at_all() -> None:
    frame = pack({"gold": "π"})
    assert unpack(frame) == {"gold": "π"}
    assert all(unpack(frame[:size]) is None for size in range(len(frame)))


def test_frames_that_are_too_long_or_no_messages_are_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        pack({"gold": "x" * FRAME_LIMIT})
    with pytest.raises(ValueError, match="too long"):
        unpack(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="not a message"):
        unpack(b"\x00\x00\x00\x02[]")


def test_an_expression_that_ends_two_workers_is_over_a_limit_while_a_third_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compare = Worker.compare

    def die(worker: Worker, gold: str, answer: str, deadline: float) -> dict[str, object]:
        if gold == "deadly":
            os.kill(worker.pid, signal.SIGKILL)
        return compare(worker, gold, answer, deadline)

    monkeypatch.setattr(Worker, "compare", die)
    pool = MathPool(size=1, deadline=20.0)
    assert pool.compare("deadly", "1")["limit"] == "its process"
    assert pool.compare("1+1", "2")["equal"]
    pool.close()


def test_two_workers_that_die_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[float] = []

    def die(worker: Worker, gold: str, answer: str, deadline: float) -> dict[str, object]:
        deadlines.append(deadline)
        raise WorkerDiedError("gone")

    monkeypatch.setattr(Worker, "compare", die)
    with pytest.raises(VerifierFault):
        MathPool(size=1, deadline=20.0).compare("1", "2")
    first, second, _ = deadlines
    assert second < first == 20.0


def test_the_start_of_a_worker_counts_as_waiting() -> None:
    pool = MathPool(size=1, deadline=20.0)
    pool.compare("x", "y")
    started = pool.waited
    pool.compare("x", "y")
    assert started > 0.01 > pool.waited - started
    pool.close()
