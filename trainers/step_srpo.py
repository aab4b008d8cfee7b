"""Step-SRPO (§4.2): reinforcement learning of the decision to think and of the answer, in one session.

    python -m trainers.step_srpo trainers/configs/step_srpo_tiny.yaml

Learns from the query–verifier pairs of a stage-3 snapshot. Does not ask models for rewards, and does not measure
held-out tasks: `trainers.evaluate` does.
"""

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from kat_data.errors import ConfigError
from kat_data.snapshots.read import Snapshot
from trainers.arguments import CHECKPOINTS, arguments
from trainers.balance import Balance
from trainers.cold_start import Lora, peft_config
from trainers.config import Model
from trainers.data import open_stage, rows
from trainers.examples import plain
from trainers.history import Resampling
from trainers.launch import launch
from trainers.models import load_model, save_model
from trainers.presets import Algorithm
from trainers.record import Record
from trainers.rewards import Accuracy, Rewards, Verification, require_sandbox, unusable
from trainers.step_srpo_trainer import StepSRPOTrainer, last_whole_checkpoint, require_trl
from trainers.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSRPO:
    """The configuration; `training` holds arguments of TRL's `GRPOConfig`, and `max_steps` has to be among them.

    Prompts of more than `max_prompt_tokens` tokens are left out and counted. `suite` names a column of the snapshot by
    whose values the figures are given once more.
    """

    model: Model
    snapshot: Path
    output: Path
    split: str = "train"
    algorithm: Algorithm = field(default_factory=Algorithm)
    resampling: Resampling = field(default_factory=Resampling)
    balance: Balance | None = None
    verification: Verification = field(default_factory=Verification)
    lora: Lora | None = None
    max_prompt_tokens: int = 4096
    suite: str | None = None
    seed: int = 1
    training: dict[str, Any] = field(default_factory=dict)


def train(config: StepSRPO) -> None:
    """Train, or go on from the last checkpoint; the model ends in `output/model`, the record beside it."""
    require_trl()
    if (config.output / "model").exists():
        raise ConfigError(f"{config.output} holds a model already: give another output folder, or remove it")
    snapshot = open_stage(config.snapshot, "stage3")
    settings = grpo_arguments(config)
    model, tokenizer = load_model(config.model)
    with settings.distributed_state.main_process_first():
        prompts, left_out = prompts_of(snapshot, config, tokenizer)
    require_sandbox(Counter(prompts["kind"]), config.verification)

    scored = Rewards(
        config.verification.verifiers(),
        deadline_s=config.verification.deadline_s,
        threads=config.verification.threads,
    )
    trainer = StepSRPOTrainer(
        model=model,
        args=settings,
        train_dataset=prompts,
        processing_class=tokenizer,
        peft_config=peft_config(config.lora),
        accuracy=Accuracy(scored),
        algorithm=config.algorithm,
        resampling=config.resampling,
        balance=config.balance,
        suite=config.suite,
    )
    record = _record(config, snapshot, trainer, left_out)
    checkpoint = last_whole_checkpoint(config.output / CHECKPOINTS)
    if checkpoint is not None:
        trainer.go_on_from(checkpoint)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        scored.close()

    _save(trainer, tokenizer, config)
    if record is not None:
        record.checkpoint(trainer.state.global_step, config.output / "model")
        record.finished({"steps": trainer.state.global_step})
        shutil.rmtree(config.output / "cache", ignore_errors=True)


def grpo_arguments(config: StepSRPO) -> Any:
    """Return TRL's arguments; raises `ConfigError` where they are at odds with advantages for each token."""
    from trl import GRPOConfig

    found: Any = arguments(
        GRPOConfig,
        config.output,
        config.training,
        loss_type="dapo",
        epsilon_high=0.28,
        beta=0.0,
        temperature=1.0,
        seed=config.seed,
        ignore_data_skip=True,
        reward_weights=[1.0, config.algorithm.constants.format_weight],
    )
    if found.max_steps <= 0:
        raise ConfigError("training.max_steps has to be set: the history, and no number of passes, ends a run")
    if found.loss_type not in ("dapo", "cispo"):
        raise ConfigError(f"training.loss_type is {found.loss_type}: only dapo and cispo are means over all tokens")
    if found.importance_sampling_level != "token" or found.use_liger_kernel:
        raise ConfigError("training: advantages of tokens need importance_sampling_level token and no Liger kernel")
    if config.balance and found.use_vllm and found.vllm_mode == "server":
        raise ConfigError("balance: vLLM's server samples whole groups from one prompt; use vllm_mode colocate")
    return found


def prompts_of(snapshot: Snapshot, config: StepSRPO, tokenizer: Any) -> tuple[Any, dict[str, int]]:
    """Return the rows that can be learned from, prompts as texts, and why and how many others were left out."""
    found = rows(snapshot, config.split, cache=config.output / "cache")
    if config.suite and config.suite not in found.column_names:
        raise ConfigError(f"suite: the snapshot has no column {config.suite}: it has {', '.join(found.column_names)}")
    found = found.map(lambda row: _prompt(row, tokenizer, config.max_prompt_tokens), desc="prompts")
    _require_same_tokens(found[0]["prompt"], tokenizer)
    why = list(found["left_out"])
    left_out = dict(Counter(filter(None, why)))
    kept = found.select([place for place, reason in enumerate(why) if not reason])
    if not len(kept):
        raise ConfigError(f"{config.snapshot} has no row to learn from: {left_out}")
    return kept.add_column("row", list(range(len(kept)))), left_out


def _prompt(row: dict[str, Any], tokenizer: Any, longest: int) -> dict[str, Any]:
    text = tokenizer.apply_chat_template(
        [plain(message) for message in row["prompt"]],
        tools=orjson.loads(row["tools"]) or None,
        add_generation_prompt=True,
        tokenize=False,
    )
    too_long = len(tokenizer(text)["input_ids"]) > longest
    reason = unusable(row) or ("longer than max_prompt_tokens" if too_long else "")
    kind = row["verifier"]["kind"] if row["verifier"] else ""
    return {"prompt": text, "messages": row["prompt"], "kind": kind, "left_out": reason}


def _require_same_tokens(prompt: str, tokenizer: Any) -> None:
    """TRL reads prompts as texts, in which tools may differ from row to row; no token may be added by that."""
    if tokenizer(prompt)["input_ids"] != tokenizer(prompt, add_special_tokens=False)["input_ids"]:
        raise ConfigError("the tokenizer adds tokens to a text by itself: turn that off, as add_bos_token, and save it")


def _record(config: StepSRPO, snapshot: Snapshot, trainer: Any, left_out: dict[str, int]) -> Record | None:
    """Begin the record on the first process, none on others."""
    if not trainer.is_world_process_zero():
        return None
    identity = {
        "trainer": "step_srpo",
        "config": asdict(config),
        "snapshots": [snapshot.manifest.hashed.content_hash],
        "base_model": config.model.path,
    }
    record = Record(config.output, identity)
    counts = {f"rows_left_out: {why}": number for why, number in left_out.items()}
    record.metrics(0, {"rows": len(trainer.train_dataset), **counts})
    trainer.add_callback(Watch(record))
    return record


def _save(trainer: Any, tokenizer: Any, config: StepSRPO) -> None:
    """Save the whole model, whichever processes hold its parts; adapters are merged."""
    target = config.output / "model"
    if config.lora:
        if trainer.is_world_process_zero():
            merged = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
            save_model(merged, tokenizer, target)
        return
    unfinished = target.with_name(".unfinished-model")
    trainer.save_model(str(unfinished))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(unfinished)
        (unfinished / "training_args.bin").unlink(missing_ok=True)
        unfinished.rename(target)


if __name__ == "__main__":
    launch(train, StepSRPO, __doc__)
