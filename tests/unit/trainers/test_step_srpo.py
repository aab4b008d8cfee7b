import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

import trainers
from kat_data.errors import ConfigError, KatError
from trainers.config import check, load
from trainers.record import RECORD, lines
from trainers.step_srpo import StepSRPO, grpo_arguments, train
from trainers.step_srpo_trainer import STATE

STEPS = {
    "max_steps": 6,
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "max_completion_length": 12,
    "logging_steps": 1,
    "save_steps": 2,
    "learning_rate": 1e-2,
}


def config(model: Path, snapshot: Path, output: Path, **changed: Any) -> dict[str, Any]:
    training = {**STEPS, **changed.pop("training", {})}
    own = {"model": {"path": str(model), "dtype": "float32"}, "snapshot": str(snapshot), "output": str(output)}
    return {**own, "training": training, **changed}


def noted(output: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in lines(output / RECORD) if line["event"] == event]


def figures(output: Path) -> dict[int, dict[str, float]]:
    return {line["step"]: line["values"] for line in noted(output, "metrics") if "loss" in line["values"]}


def test_a_run_trains_and_leaves_model_and_record(tiny_model, make_snapshot, tmp_path: Path) -> None:
    output = tmp_path / "out"
    made = check(config(tiny_model, make_snapshot("stage3"), output, suite="domain"), StepSRPO, "test")
    train(made)

    assert [line["event"] for line in lines(output / RECORD)][:2] == ["started", "metrics"]
    assert noted(output, "metrics")[0]["values"] == {"rows": 24}
    assert sorted(figures(output)) == [1, 2, 3, 4, 5, 6]
    assert {"gate/no_mode", "verify/absent", "tokens/judge", "history/passes"} <= set(figures(output)[6])
    assert noted(output, "finished")[0]["values"] == {"steps": 6}
    assert not (output / "model" / "training_args.bin").exists()
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_model, output / "model"))
    assert any(not before[name].equal(after[name]) for name in before)
    with pytest.raises(ConfigError, match="holds a model already"):
        train(made)


def test_a_batch_of_rollouts_can_serve_several_steps(tiny_model, make_snapshot, tmp_path: Path) -> None:
    steps = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_iterations": 2, "max_steps": 4}
    training = {**steps, "save_steps": 4}
    made = config(tiny_model, make_snapshot("stage3"), tmp_path / "out", training=training, lora={"rank": 2})
    train(check(made, StepSRPO, "test"))
    [checkpoint] = (tmp_path / "out" / "checkpoints").glob("checkpoint-*")
    kept = json.loads((checkpoint / STATE).read_bytes())["history"]
    assert kept["used"] == 2  # two batches of two prompts, each for two steps
    assert not (tmp_path / "out" / "model" / "adapter_config.json").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training": {"max_steps": -1}}, "training.max_steps has to be set"),
        ({"training": {"loss_type": "grpo"}}, "training.loss_type is grpo: only dapo and cispo"),
        ({"training": {"importance_sampling_level": "sequence"}}, "need importance_sampling_level token"),
        ({"training": {"num_generations": 3}}, "training: "),
        ({"training": {"per_device_train_batch_size": 200}}, "24 prompts cannot fill a batch of 50"),
        ({"suite": "benchmark"}, "the snapshot has no column benchmark"),
        ({"max_prompt_tokens": 3}, "has no row to learn from: {'longer than max_prompt_tokens': 24}"),
    ],
)
def test_a_mistake_is_one_line(tiny_model, make_snapshot, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    made = config(tiny_model, make_snapshot("stage3"), tmp_path / "out", **changes)
    with pytest.raises(KatError) as caught:
        train(check(made, StepSRPO, "test"))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / RECORD).exists()


def test_a_snapshot_of_another_stage_is_refused(tiny_model, make_snapshot, tmp_path: Path) -> None:
    made = config(tiny_model, make_snapshot("stage2"), tmp_path / "out")
    with pytest.raises(ConfigError, match="is a stage2 snapshot, for the cold start: give a stage3 snapshot"):
        train(check(made, StepSRPO, "test"))


def test_a_killed_run_goes_on_exactly_as_if_it_had_not_been_killed(tiny_model, make_snapshot, tmp_path: Path) -> None:
    snapshot = make_snapshot("stage3")
    train(check(config(tiny_model, snapshot, tmp_path / "unbroken"), StepSRPO, "test"))

    broken = config(tiny_model, snapshot, tmp_path / "broken")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(broken), encoding="utf-8")
    command = [sys.executable, "-m", "trainers.step_srpo", tmp_path / "c.yaml"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None:
        if (tmp_path / "broken" / "checkpoints" / "checkpoint-2" / STATE).exists():
            running.send_signal(signal.SIGKILL)
        time.sleep(0.002)
    assert running.returncode == -signal.SIGKILL
    train(check(broken, StepSRPO, "test"))

    assert noted(tmp_path / "broken", "resumed")
    timed = {"step_time", "train_runtime"}
    for step, values in figures(tmp_path / "unbroken").items():
        other = figures(tmp_path / "broken")[step]
        assert {k: v for k, v in values.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    one, other = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("unbroken", "broken"))
    assert all(one[name].equal(other[name]) for name in one)


CONFIGS = Path(trainers.__file__).parent / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("step_srpo_*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_configurations_are_whole(path: Path) -> None:
    made = load(path, StepSRPO)
    on_a_cpu = {**made.training, "use_vllm": False}
    found = grpo_arguments(replace(made, training=on_a_cpu))
    assert found.num_generations == 16
    assert (found.loss_type, found.beta, found.epsilon_high) == ("dapo", 0.0, 0.28)
    assert found.ignore_data_skip
