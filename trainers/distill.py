"""Distillation (§3.1): a stage-1 snapshot teaches a model to think, or not, as the trigger in the prompt asks.

    python -m trainers.distill trainers/configs/distill_tiny.yaml

Learns the completions of a stage-1 snapshot by cross-entropy, and the shape of its mode's teacher's distributions by
Universal Logit Distillation, on the model's head and on MTP modules that look further ahead:

    L = L_0 + (weight / D) * sum of L_k over depths k = 1..D,    L_k = (CE_k + uld_weight * ULD_k) / learned tokens

Without `teachers` or `mtp` their terms are left out, for comparison. Prompt and trigger take no part in the loss. Does
not choose rows: the snapshot's mixture does. Rows are not packed, as each has a teacher's answer of its own.
"""

import shutil
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments, set_seed

from kat_data.errors import ConfigError
from trainers.arguments import arguments, last_checkpoint
from trainers.config import Model
from trainers.data import encoded, encoder, open_stage, rows
from trainers.launch import launch
from trainers.models import load_model
from trainers.mtp import FOLDER, Mtp, load_mtp
from trainers.record import Record
from trainers.student import Student, Sums, collate
from trainers.teach import Lessons, Teachers, ask, readers
from trainers.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class MtpLoss:
    """How many tokens further ahead is looked, and what that counts: `weight`, and from a share of the steps less.

    As in DeepSeek-V3: 0.3 for two thirds of its training, then 0.1.
    """

    depths: int = 1
    weight: float = 0.3
    late_weight: float = 0.1
    late_from: float = 0.67


@dataclass(frozen=True, slots=True, kw_only=True)
class Distill:
    """The configuration; `training` holds transformers' `TrainingArguments`.

    Rows of more than `max_tokens` tokens are left out and counted: a trace without its end teaches never to end.
    """

    model: Model
    snapshot: Path
    output: Path
    split: str = "train"
    teachers: Teachers | None = None
    uld_weight: float = 1.5
    mtp: MtpLoss | None = None
    max_tokens: int = 32_768
    processes: int = 1
    seed: int = 1
    training: dict[str, Any] = field(default_factory=dict)


def train(config: Distill) -> None:
    """Train, or go on from the last checkpoint; the model ends in `output/model`, the record beside it."""
    if (config.output / "model").exists():
        raise ConfigError(f"{config.output} holds a model already: give another output folder, or remove it")
    snapshot = open_stage(config.snapshot, "stage1")
    settings = arguments(
        TrainingArguments, config.output, config.training, seed=config.seed, remove_unused_columns=False
    )
    if settings.n_gpu > 1:
        raise ConfigError("one process sees several GPUs: start one for each, with `accelerate launch -m`")
    set_seed(config.seed)
    base, tokenizer = load_model(config.model)
    mtp = _modules(base, config) if config.mtp else None

    reading = readers(config.teachers) if config.teachers else None
    encode = Lessons(tokenizer, reading, config.teachers.k) if config.teachers and reading else None
    work = config.output / "cache"
    with settings.main_process_first():
        lessons, left_out = encoded(
            rows(snapshot, config.split, cache=work),
            encode or encoder(tokenizer, "stage1"),
            max_tokens=config.max_tokens,
            processes=config.processes,
        )
    cache = ask(config.teachers, lessons) if config.teachers else None

    identity = {
        "trainer": "distill",
        "config": asdict(config),
        "snapshots": [snapshot.manifest.hashed.content_hash],
        "base_model": config.model.path,
        "teachers": {mode.value: one.identity for mode, one in reading.items()} if reading else {},
    }
    record = Record(config.output, identity) if settings.process_index == 0 else None
    if record:
        record.metrics(0, {"rows": len(lessons), "rows_too_long": left_out})
    trainer = DistillTrainer(
        config,
        model=Student(base, mtp),
        args=settings,
        train_dataset=lessons,
        data_collator=partial(collate, padding=tokenizer.pad_token_id, cache=cache),
        processing_class=tokenizer,
        callbacks=[Watch(record)] if record else [],
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(config.output))

    unfinished = config.output / ".unfinished-model"
    trainer.save_model(str(unfinished))
    if record:
        place = unfinished.rename(config.output / "model")
        record.checkpoint(trainer.state.global_step, place)
        record.finished({"steps": trainer.state.global_step})
        shutil.rmtree(work, ignore_errors=True)


class DistillTrainer(Trainer):
    """Adds up the losses of all depths, and tells them apart in the log: per learned token, so that they add up too."""

    def __init__(self, config: Distill, **given: Any) -> None:
        super().__init__(**given)
        self._config = config
        self._seen: Sums = {}

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        depths = model(**inputs)
        learned = (inputs["labels"] != -100).sum()
        first, *ahead = (one["ce"] + self._config.uld_weight * one["uld"] for one in depths)
        weight = self._mtp_weight()
        total = first + weight / max(len(ahead), 1) * sum(ahead)
        # Gradients of several processes are averaged; their tokens were counted together.
        loss = (
            total / learned
            if num_items_in_batch is None
            else total * self.accelerator.num_processes / num_items_in_batch
        )
        self._note(depths, learned, weight)
        return (loss, {}) if return_outputs else loss

    def _mtp_weight(self) -> float:
        """Return what the depths count at this step."""
        if (mtp := self._config.mtp) is None:
            return 0.0
        late = self.state.global_step >= mtp.late_from * self.state.max_steps
        return mtp.late_weight if late else mtp.weight

    def _note(self, depths: list[Sums], learned: Any, weight: float) -> None:
        sums = {"tokens": learned.float(), "mtp_weight": learned * weight}
        for k, one in enumerate(depths):
            sums |= {(f"mtp{k}_" if k else "") + name: value.detach().float() for name, value in one.items()}
        self._seen = {name: self._seen.get(name, 0) + value for name, value in sums.items()}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._seen:
            seen = {name: float(value) for name, value in self.accelerator.reduce(self._seen, "sum").items()}
            tokens = seen.pop("tokens")
            logs |= {name.replace("right", "accuracy"): value / tokens for name, value in seen.items()}
            self._seen = {}
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write a plain checkpoint with the modules beside it, as `Student` says."""
        folder = output_dir or self.args.output_dir
        if self.args.should_save:
            self.model.save_pretrained(folder, state_dict)
            self.processing_class.save_pretrained(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled:  # sharded as a whole
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        super()._load_from_checkpoint(resume_from_checkpoint, self.model.base)
        if self.model.mtp is not None:
            self.model.mtp.load(Path(resume_from_checkpoint))


def _modules(base: Any, config: Distill) -> Mtp:
    """Return new modules, or those that stand beside the model that is trained."""
    assert config.mtp is not None
    if config.mtp.depths < 1:
        raise ConfigError(f"mtp.depths is {config.mtp.depths}: look at least one token further, or leave mtp out")
    found = load_mtp(base, Path(config.model.path))
    if found is not None and len(found.depths) != config.mtp.depths:
        raise ConfigError(f"{config.model.path}/{FOLDER} holds {len(found.depths)} depths, mtp.depths says otherwise")
    return found or Mtp(base, config.mtp.depths)


if __name__ == "__main__":
    launch(train, Distill, __doc__)
