import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from kat_data.errors import ConfigError, KatError
from trainers.cold_start import ColdStart, train
from trainers.config import check
from trainers.record import RECORD, lines

STEPS = {"max_steps": 6, "per_device_train_batch_size": 4, "learning_rate": 5e-3, "save_steps": 2, "logging_steps": 1}


def config(model: Path, snapshot: Path, output: Path, **changes: Any) -> dict[str, Any]:
    return {
        "model": {"path": str(model), "dtype": "float32"},
        "snapshot": str(snapshot),
        "output": str(output),
        "training": STEPS,
        **changes,
    }


def losses(output: Path) -> dict[int, float]:
    noted = [line for line in lines(output / RECORD) if line["event"] == "metrics"]
    return {line["step"]: line["values"]["loss"] for line in noted if "loss" in line["values"]}


def test_a_model_learns_and_is_saved_whole(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    stage1 = make_snapshot("stage1")
    made = config(tiny_model, make_snapshot("stage2"), tmp_path / "out", replay={"snapshot": str(stage1), "share": 0.4})
    train(check(made, ColdStart, "test"))
    found = losses(tmp_path / "out")
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    assert found[6] < found[1]
    noted = lines(tmp_path / "out" / RECORD)
    assert (noted[0]["event"], noted[-1]["event"]) == ("started", "finished")
    assert noted[1]["values"] == {"rows": 40, "rows_too_long": 0}  # 24, and 16 passive ones: 40 %
    assert len(noted[0]["run"]["snapshots"]) == 2
    AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    assert "<judge>" in AutoTokenizer.from_pretrained(tmp_path / "out" / "model").get_vocab()
    with pytest.raises(ConfigError, match="holds a model already"):
        train(check(made, ColdStart, "test"))


def test_adapters_are_merged_into_a_plain_checkpoint(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="the extra `train` is not installed")
    made = config(tiny_model, make_snapshot("stage2"), tmp_path / "out", lora={"rank": 4})
    train(check(made, ColdStart, "test"))
    from transformers import AutoModelForCausalLM

    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    before = AutoModelForCausalLM.from_pretrained(tiny_model)
    changed = [name for name, weight in trained.named_parameters() if not weight.equal(before.get_parameter(name))]
    assert changed
    assert all("proj" in name for name in changed)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training": {"max_stps": 3}}, "training.max_stps is no argument that can be set: max_steps?"),
        ({"training": {"report_to": "wandb"}}, "training.report_to is no argument"),
        ({"model": {"path": "nowhere"}}, "nowhere holds no tokenizer that can be loaded"),
        ({"split": "dev"}, "has no split dev"),
    ],
)
def test_a_mistake_is_one_line(
    tiny_model: Path, make_snapshot: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    made = config(tiny_model, make_snapshot("stage2"), tmp_path / "out") | changes
    with pytest.raises(KatError) as caught:
        train(check(made, ColdStart, "test"))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / RECORD).exists()


def test_the_shell_prints_a_mistake_as_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("modle: {path: m}", encoding="utf-8")
    command = [sys.executable, "-m", "trainers.cold_start", tmp_path / "c.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "unknown key `modle`: did you mean `model`?" in line


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    tiny_model: Path,
    make_snapshot: Callable[..., Path],
    kill_when: Callable[[Sequence[Any], Path], None],
    tmp_path: Path,
) -> None:
    snapshot = make_snapshot("stage2")
    unbroken = config(tiny_model, snapshot, tmp_path / "unbroken")
    train(check(unbroken, ColdStart, "test"))

    broken = config(tiny_model, snapshot, tmp_path / "broken")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(broken), encoding="utf-8")
    command = [sys.executable, "-m", "trainers.cold_start", tmp_path / "c.yaml"]
    kill_when(command, tmp_path / "broken" / "checkpoints" / "checkpoint-2" / "trainer_state.json")
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert losses(tmp_path / "broken") == pytest.approx(losses(tmp_path / "unbroken"), rel=1e-4)
