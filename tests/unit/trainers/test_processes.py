import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from trl import GRPOTrainer

from tests.unit.trainers.rank import run


def test_two_processes_do_what_one_does(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    command = [sys.executable, "-m", "tests.unit.trainers.rank", str(tiny_model), str(tmp_path / "two"), "4"]
    world = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    running = [
        subprocess.Popen(command, env={**world, "RANK": rank, "LOCAL_RANK": rank}, stdout=subprocess.DEVNULL)
        for rank in ("0", "1")
    ]
    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", GRPOTrainer._generate_single_turn)  # undone at the end
    run(str(tiny_model), str(tmp_path / "one"), 8)
    assert [process.wait(timeout=180) for process in running] == [0, 0]

    alone = json.loads((tmp_path / "one" / "0.json").read_bytes())
    first, second = (json.loads((tmp_path / "two" / f"{rank}.json").read_bytes()) for rank in range(2))
    assert first["history"] == second["history"] == alone["history"]
    for one, other, both in zip(first["advantages"], second["advantages"], alone["advantages"], strict=True):
        assert len(both) == 8
        for row, wanted in zip(one + other, both, strict=True):
            assert row == pytest.approx(wanted)
    assert first["norm"] == second["norm"] == pytest.approx(alone["norm"], abs=1e-4)
    assert any(weight != 1.0 for weight in alone["norm"])
