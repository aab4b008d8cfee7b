from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl import GRPOConfig, GRPOTrainer

from kat_data.domain.mode import Mode
from kat_data.errors import ConfigError
from tests.unit.trainers.toy import template_text
from trainers.advantages import Constants
from trainers.balance import Balance
from trainers.history import Resampling
from trainers.presets import Algorithm
from trainers.replies import read
from trainers.step_srpo_trainer import STATE, StepSRPOTrainer, last_whole_checkpoint, require_trl

ON, OFF = Mode.ON, Mode.OFF
PROMPTS = 4


def accuracy(completions: Sequence[str], **_: Any) -> list[float | None]:
    """1 for the answer 2, none for a question mark."""
    found = [read(text) for text in completions]
    return [0.0 if reply is None else {"2": 1.0, "?": None}.get(reply.answer, 0.0) for reply in found]


@pytest.fixture
def make_trainer(tiny_model: Path, tokenizer: Any, tmp_path: Path) -> Callable[..., StepSRPOTrainer]:
    def make(*, training: dict[str, Any] | None = None, **given: Any) -> StepSRPOTrainer:
        settings = {
            "max_steps": 2,
            "per_device_train_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 8,
            "loss_type": "dapo",
            "beta": 0.0,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "report_to": [],
            "reward_weights": [1.0, 0.2],
            "ignore_data_skip": True,
            **(training or {}),
        }
        rows = {"prompt": ["What?"] * PROMPTS, "row": list(range(PROMPTS)), "pass_rate": [0.5] * PROMPTS}
        return StepSRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32),
            args=GRPOConfig(output_dir=str(tmp_path / "out"), **settings),
            train_dataset=Dataset.from_dict(rows | {"suite": ["easy", "hard"] * (PROMPTS // 2)}),
            processing_class=tokenizer,
            accuracy=accuracy,
            **{"algorithm": Algorithm(), "resampling": Resampling(rule="none"), **given},
        )

    return make


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> Callable[..., list[list[list[int]]]]:
    """Let TRL's trainer generate given texts, and note the prompts that it was asked for."""

    def write(texts: Sequence[str], *, logprobs: bool = False) -> list[list[list[int]]]:
        asked: list[list[list[int]]] = []
        ids = [[*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for text in texts]

        def generate(self: Any, prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
            asked.append(prompt_ids)
            own = ids[: len(prompt_ids)]
            return own, [[-1.0] * len(row) for row in own] if logprobs else None

        monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", generate)
        return asked

    return write


def scored(trainer: StepSRPOTrainer) -> dict[str, Any]:
    """What the loss is given for the first batch of the history."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    prompts = next(trainer.history.batches())
    return trainer._generate_and_score_completions(
        [trainer.train_dataset[prompt] for prompt in prompts for _ in range(trainer.num_generations)]
    )


def gradient_of_tokens(trainer: StepSRPOTrainer, inputs: dict[str, Any]) -> torch.Tensor:
    """The gradient of the loss by each token's log-probability."""
    logps = torch.zeros(inputs["completion_ids"].shape, requires_grad=True)
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (logps, torch.zeros_like(logps), None)
    trainer._compute_loss(trainer.model, inputs).backward()
    assert logps.grad is not None
    return logps.grad


def test_where_the_answers_earn_nothing_only_the_judge_is_learned(make_trainer, script, tokenizer) -> None:
    script([template_text(ON), template_text(OFF), template_text(OFF), template_text(ON)] * 2)  # all correct
    trainer = make_trainer()
    inputs = scored(trainer)

    gradient = gradient_of_tokens(trainer, inputs)

    tags = torch.tensor(tokenizer.convert_tokens_to_ids(["<think_on>", "<think_off>"]))
    for row in range(8):
        end = int(torch.isin(inputs["completion_ids"][row], tags).nonzero()[0]) + 1
        assert (gradient[row, :end] != 0).all()
        assert (gradient[row, end:] == 0).all()
        wants_more = gradient[row, 0] < 0
        assert wants_more == (row in (1, 2, 5, 6))  # think-off was enough


def test_the_loss_takes_the_advantage_of_each_token(make_trainer, script) -> None:
    script([template_text(ON), template_text(OFF, answer="3"), template_text(ON, answer="3"), "nonsense"] * 2)
    trainer = make_trainer()
    inputs = scored(trainer)
    advantages = inputs["advantages"]

    gradient = gradient_of_tokens(trainer, inputs)

    assert advantages.shape == inputs["completion_ids"].shape
    total = inputs["completion_mask"].sum()
    assert torch.allclose(gradient, -advantages * inputs["completion_mask"] / total, atol=1e-7)
    assert len(advantages[0].unique()) == 2  # judge and rest


def test_the_judges_weight_concerns_the_judge_alone(make_trainer, script) -> None:
    script([template_text(ON), template_text(OFF, answer="3"), template_text(ON, answer="3"), template_text(OFF)] * 2)
    whole = scored(make_trainer())["advantages"]
    less = scored(make_trainer(algorithm=Algorithm(constants=Constants(judge_weight=0.25))))["advantages"]
    ratio = (less / whole)[0]
    assert sorted(ratio[whole[0] != 0].unique().tolist()) == [0.25, 1.0]
    assert ratio[0] == 0.25


@pytest.mark.parametrize(
    "texts",
    [
        [template_text(ON), template_text(OFF, answer="3"), template_text(ON, answer="3"), "nonsense"],
        [template_text(ON), template_text(OFF), template_text(ON), template_text(OFF)],
        [template_text(OFF, answer="3"), "nonsense", "nonsense", template_text(OFF)],
    ],
)
def test_the_preset_grpo_gives_trls_own_advantages(make_trainer, script, monkeypatch, texts) -> None:
    script([*texts, *texts[::-1]])
    theirs: list[torch.Tensor] = []
    original = GRPOTrainer._generate_and_score_completions

    def spy(self: Any, inputs: Any) -> Any:
        output = original(self, inputs)
        theirs.append(output["advantages"].clone())
        return output

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", spy)
    inputs = scored(make_trainer(algorithm=Algorithm(preset="grpo")))

    assert theirs[0].shape == (8,)
    wanted = theirs[0][:, None] * inputs["completion_mask"]
    assert torch.allclose(inputs["advantages"], wanted, atol=2e-3)  # theirs rounds in single precision


def test_what_nobody_could_decide_is_not_learned(make_trainer, script) -> None:
    script([template_text(ON), template_text(OFF, answer="?"), template_text(ON, answer="3"), template_text(OFF)] * 2)
    trainer = make_trainer()
    inputs = scored(trainer)
    assert (inputs["advantages"][[1, 5]] == 0).all()
    assert (inputs["advantages"][[0, 2, 3]] != 0).any(dim=1).all()
    assert trainer._metrics["train"]["accuracy/undecided"] == [0.25]


def test_the_figures_tell_of_gate_tokens_and_suites(make_trainer, script, tokenizer) -> None:
    texts = [template_text(ON), template_text(OFF), template_text(OFF, answer="3"), "nonsense"]
    script([*texts, *texts])
    trainer = make_trainer(suite="suite")
    scored(trainer)
    found = {name: values[0] for name, values in trainer._metrics["train"].items()}
    size = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1 for text in texts]
    assert found["gate/think_on"] == pytest.approx(1 / 3)
    assert found["gate/no_mode"] == 0.25
    assert found["gate/judge_accuracy"] == pytest.approx(1 / 3)  # think-on was needed, and chosen once of three
    assert found["gate/label_on"] == 1.0
    assert found["tokens/on"] == size[0]
    assert found["tokens/off"] == (size[1] + size[2]) / 2
    assert (found["accuracy/on"], found["accuracy/off"], found["accuracy/all"]) == (1.0, 0.5, 0.5)
    assert found["reward/well_formed"] == 0.75
    assert {name for name in found if name.startswith("suite/")} >= {"suite/easy/think_on", "suite/hard/tokens"}


def test_a_closed_gate_is_opened_by_given_judges_that_are_not_learned(make_trainer, script, tokenizer) -> None:
    texts = [template_text(ON), template_text(ON, answer="3"), template_text(ON), "\n<answer>\n2\n</answer>"]
    asked = script(texts * 2, logprobs=True)  # as vLLM gives them
    trainer = make_trainer(balance=Balance(batches=1, share=0.25))
    trainer.gate.above = 1
    inputs = scored(trainer)

    prefix = trainer.gate.prefix(tokenizer)
    assert tokenizer.decode(prefix).endswith("</judge>\n\n<think_off>")
    plain = tokenizer("What?")["input_ids"]
    assert asked[0] == [plain, plain, plain, [*plain, *prefix]] * 2
    assert inputs["completion_ids"][3, : len(prefix)].tolist() == prefix
    assert (inputs["advantages"][3, : len(prefix)] == 0).all()
    assert inputs["sampling_per_token_logps"][3, : len(prefix)].isnan().all()
    found = {name: values[0] for name, values in trainer._metrics["train"].items()}
    assert found["gate/think_on"] == 1.0  # of those that chose
    assert found["accuracy/off"] == 1.0
    assert found["balance/forced"] == 0.25
    assert trainer.history.counts[:, 0, 1].sum() == 2  # and think-off is measured


def test_without_the_judge_only_the_answer_is_learned(make_trainer, script) -> None:
    script([template_text(ON), template_text(ON, answer="3"), template_text(ON), template_text(ON)] * 2)
    trainer = make_trainer(balance=Balance(batches=1, share=0.25, mask_judge=True))
    trainer.gate.above = 1
    inputs = scored(trainer)
    assert (inputs["advantages"][0, :5] == 0).all()
    assert (inputs["advantages"][0] != 0).any()


def test_another_version_of_trl_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert metadata.version("trl").startswith("1.16.")
    require_trl()
    monkeypatch.setattr("trainers.step_srpo_trainer.version", lambda _: "1.17.0")
    with pytest.raises(ConfigError, match=r"needs trl 1.16, and 1.17.0 is installed: pip install 'trl==1.16.\*'"):
        require_trl()


def test_a_checkpoint_without_its_state_was_never_finished(tmp_path: Path) -> None:
    assert last_whole_checkpoint(tmp_path) is None
    for step, whole in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / STATE).touch()
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
