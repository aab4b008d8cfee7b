import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

from kat_data.errors import ConfigError, KatError
from trainers.arguments import arguments
from trainers.config import check, load
from trainers.distill import Distill, train
from trainers.mtp import load_mtp
from trainers.record import RECORD, lines
from trainers.teach import teach

CONFIGS = Path(__file__).parents[3] / "trainers" / "configs"
STEPS = {"max_steps": 6, "per_device_train_batch_size": 4, "learning_rate": 5e-3, "save_steps": 2, "logging_steps": 1}


@pytest.fixture
def config(
    tiny_model: Path, other_teacher: Path, make_snapshot: Callable[..., Path], tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    snapshot = make_snapshot("stage1")

    def made(output: str = "out", **changes: Any) -> dict[str, Any]:
        model = {"path": str(tiny_model), "dtype": "float32"}
        return {
            "model": model,
            "snapshot": str(snapshot),
            "output": str(tmp_path / output),
            "teachers": {
                "think_on": {"model": {"path": str(other_teacher), "dtype": "float32"}},
                "think_off": {"model": model, "trigger": True},
                "cache": str(tmp_path / "said"),
                "k": 16,
            },
            "mtp": {"depths": 2},
            "training": STEPS,
            **changes,
        }

    return made


def run(made: dict[str, Any]) -> list[dict[str, Any]]:
    train(check(made, Distill, "test"))
    return measured(Path(made["output"]))


def measured(output: Path) -> list[dict[str, Any]]:
    noted = [line["values"] for line in lines(output / RECORD) if line["event"] == "metrics"]
    return [values for values in noted if "loss" in values]


def test_losses_are_told_apart_and_add_up(config: Callable[..., dict[str, Any]]) -> None:
    found = run(config(mtp={"depths": 2, "late_from": 0.5}))
    assert len(found) == 6
    for step, values in enumerate(found, 1):
        assert values["mtp_weight"] == pytest.approx(0.3 if step <= 3 else 0.1)
        parts = [values[f"{name}ce"] + 1.5 * values[f"{name}uld"] for name in ("", "mtp1_", "mtp2_")]
        assert values["loss"] == pytest.approx(parts[0] + values["mtp_weight"] / 2 * (parts[1] + parts[2]), rel=1e-4)
        assert 0 <= values["accuracy"] <= 1
        assert 0 < values["uld"] < 2
    assert 0.3 < min(values["spans"] for values in found) < 1
    assert found[-1]["ce"] < found[0]["ce"]
    assert found[-1]["mtp2_ce"] < found[0]["mtp2_ce"]


def test_the_model_stays_plain_and_the_modules_stand_beside_it(
    config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    run(config())
    folder = tmp_path / "out" / "model"
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    model, facts = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not facts["missing_keys"]
    assert not facts["unexpected_keys"]
    mtp = load_mtp(model, folder)
    assert mtp is not None
    assert len(mtp.depths) == 2
    assert "<think_on>" in AutoTokenizer.from_pretrained(folder).get_vocab()
    noted = lines(tmp_path / "out" / RECORD)
    assert (noted[0]["event"], noted[-1]["event"]) == ("started", "finished")
    assert set(noted[0]["run"]["teachers"]) == {"think_on", "think_off"}
    assert not (tmp_path / "out" / "cache").exists()
    # A later training goes on with these modules, and refuses another number of them.
    with pytest.raises(ConfigError, match="holds 2 depths"):
        run(config("again", model={"path": str(folder)}, mtp={"depths": 1}))


def test_without_teachers_and_depths_it_is_plain_fine_tuning(config: Callable[..., dict[str, Any]]) -> None:
    found = run(config(teachers=None, mtp=None))
    assert all(values["loss"] == pytest.approx(values["ce"], rel=1e-4) for values in found)
    assert all(values["uld"] == 0 for values in found)
    assert not any(name.startswith("mtp1") for name in found[0])


def test_accumulated_batches_are_one_batch(config: Callable[..., dict[str, Any]]) -> None:
    whole = run(config("whole"))
    parts = STEPS | {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    small = run(config("small", training=parts))
    for one, two in zip(whole, small, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
        assert one["mtp1_uld"] == pytest.approx(two["mtp1_uld"], rel=1e-2)


def test_recomputed_activations_change_nothing(config: Callable[..., dict[str, Any]]) -> None:
    kept = run(config("kept"))
    again = run(config("again", training=STEPS | {"activation_checkpointing": True}))
    assert [one["loss"] for one in again] == pytest.approx([one["loss"] for one in kept], rel=1e-4)


def test_half_precision_trains(config: Callable[..., dict[str, Any]]) -> None:
    whole, half = run(config("whole")), run(config("half", training=STEPS | {"bf16": True}))
    assert [one["ce"] for one in half] == pytest.approx([one["ce"] for one in whole], rel=0.02)
    assert [one["loss"] for one in half] == pytest.approx([one["loss"] for one in whole], rel=0.05)


def test_several_processes_cut_the_text(config: Callable[..., dict[str, Any]]) -> None:
    alone = run(config("alone", training=STEPS | {"max_steps": 1}))
    assert run(config("many", processes=2, training=STEPS | {"max_steps": 1})) == alone


def test_a_cache_that_was_filled_elsewhere_is_all_that_is_needed(
    config: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(check(config("first"), Distill, "test"))
    monkeypatch.setattr("trainers.teach._teacher", None)
    filled = sorted((tmp_path / "said").iterdir())
    assert run(config())
    assert sorted((tmp_path / "said").iterdir()) == filled
    with pytest.raises(ConfigError, match="names no teachers"):
        teach(check(config(teachers=None), Distill, "test"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mtp": {"depths": 0}}, "mtp.depths is 0"),
        ({"mtp": {"depth": 1}}, "unknown key `mtp.depth`: did you mean `depths`?"),
        ({"training": {"max_stps": 3}}, "training.max_stps is no argument that can be set: max_steps?"),
        ({"teachers": {"think_on": {}, "think_off": {}, "cache": "c"}}, "teachers.think_on.model"),
    ],
)
def test_a_mistake_is_one_line(config: Callable[..., dict[str, Any]], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(KatError) as caught:
        run(config(**changes))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("distill_*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_configuration_is_one(path: Path, tmp_path: Path) -> None:
    shipped = load(path, Distill)
    assert arguments(TrainingArguments, tmp_path, shipped.training)
    assert shipped.teachers is not None


def test_a_teacher_that_cannot_be_read_is_one_line(
    config: Callable[..., dict[str, Any]], tmp_path: Path, other_teacher: Path
) -> None:
    made = config()
    made["teachers"]["think_on"]["model"]["path"] = "nowhere"
    with pytest.raises(ConfigError, match="teacher nowhere holds no tokenizer"):
        run(made)
    named = tmp_path / "silent"
    AutoTokenizer.from_pretrained(other_teacher).save_pretrained(named)
    (named / "chat_template.jinja").unlink()
    made["teachers"]["think_on"]["model"]["path"] = str(named)
    with pytest.raises(ConfigError, match="has no chat template"):
        run(made)


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    config: Callable[..., dict[str, Any]], kill_when: Callable[[Sequence[Any], Path], None], tmp_path: Path
) -> None:
    unbroken = run(config("unbroken"))
    broken = config("broken")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(broken), encoding="utf-8")
    command = [sys.executable, "-m", "trainers.distill", tmp_path / "c.yaml"]
    kill_when(command, tmp_path / "broken" / "checkpoints" / "checkpoint-2" / "trainer_state.json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    by_step = {}
    for line in lines(tmp_path / "broken" / RECORD):
        if line["event"] == "metrics" and "loss" in line["values"]:
            by_step[line["step"]] = line["values"]
    assert [by_step[step]["loss"] for step in range(1, 7)] == pytest.approx([one["loss"] for one in unbroken], rel=1e-4)
    assert by_step[6]["mtp2_uld"] == pytest.approx(unbroken[5]["mtp2_uld"], rel=1e-4)


def test_two_processes_are_one_with_both_batches(config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    alone = run(config("alone", training=STEPS | {"max_steps": 3}))
    half = config("both", training=STEPS | {"max_steps": 3, "per_device_train_batch_size": 2, "ddp_backend": "gloo"})
    half["teachers"]["cache"] = str(tmp_path / "said by both")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(half), encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launch, "-m", "trainers.distill", tmp_path / "c.yaml"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    together = measured(tmp_path / "both")
    for name in ("ce", "uld", "mtp1_ce", "mtp2_uld", "mtp_weight"):
        assert [one[name] for one in together] == pytest.approx([one[name] for one in alone], rel=1e-2), name
    assert [one["loss"] for one in together] == pytest.approx([one["loss"] for one in alone], rel=1e-3)
    noted = [line["event"] for line in lines(tmp_path / "both" / RECORD)]
    assert (noted.count("started"), noted[-1]) == (1, "finished")
