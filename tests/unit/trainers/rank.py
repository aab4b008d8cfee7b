"""One process of a training run whose rollouts are given: `python -m tests.unit.trainers.rank MODEL OUTPUT SIZE`.

Writes the advantages of its own rollouts and the history that it ends with.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from kat_data.domain.mode import Mode
from tests.unit.trainers.toy import template_text
from trainers.history import Resampling
from trainers.presets import Algorithm
from trainers.replies import read
from trainers.step_srpo_trainer import StepSRPOTrainer

TEXTS = [
    template_text(Mode.ON),
    template_text(Mode.OFF, answer="3"),
    "nonsense",
    template_text(Mode.OFF),
    template_text(Mode.OFF),
    template_text(Mode.ON, answer="?"),
    template_text(Mode.ON),
    template_text(Mode.ON, answer="3"),
]


def run(model: str, output: str, size: int) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    rank = int(os.environ.get("RANK", "0"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = [[*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for text in TEXTS]
    earned: list[list[list[float]]] = []

    def generate(self: Any, prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
        first = rank * len(prompt_ids) + self.state.global_step
        return [ids[(first + place) % len(ids)] for place in range(len(prompt_ids))], None

    class Noting(StepSRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            found = super()._generate_and_score_completions(inputs)
            sizes = found["completion_mask"].sum(dim=1).tolist()
            earned.append([row[:size].tolist() for row, size in zip(found["advantages"], sizes, strict=True)])
            return found

    def accuracy(completions: list[str], **_: Any) -> list[float | None]:
        replies = [read(text) for text in completions]
        return [0.0 if reply is None else {"2": 1.0, "?": None}.get(reply.answer, 0.0) for reply in replies]

    GRPOTrainer._generate_single_turn = generate
    trainer = Noting(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=GRPOConfig(
            output_dir=output,
            max_steps=3,
            per_device_train_batch_size=size,
            num_generations=4,
            max_completion_length=8,
            loss_type="dapo",
            beta=0.0,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            ignore_data_skip=True,
            learning_rate=1e-2,
        ),
        train_dataset=Dataset.from_dict({"prompt": ["What?"] * 4, "row": list(range(4))}),
        processing_class=tokenizer,
        accuracy=accuracy,
        algorithm=Algorithm(),
        resampling=Resampling(),
    )
    trainer.train()
    [norm] = [
        weight.tolist() for name, weight in trainer.model.named_parameters() if name.endswith("model.norm.weight")
    ]
    found = {"advantages": earned, "history": trainer.history.state(), "norm": norm}
    Path(output, f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
