"""Cold start (§4.1): supervised fine-tuning on the whole template, after which the model decides by itself.

    python -m trainers.cold_start trainers/configs/cold_start_tiny.yaml

Learns every assistant turn of a stage-2 snapshot: judge, mode, thinking, answer. Passive rows of a stage-1 snapshot,
whose mode is asked for by a trigger, are mixed in: without them a model forgets to think when it is told to. Does not
choose rows: the snapshot's mixture does.
"""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kat_data.errors import ConfigError
from trainers.arguments import arguments, last_checkpoint
from trainers.config import Model
from trainers.data import encoded, encoder, open_stage, rows
from trainers.launch import launch
from trainers.models import load_model, save_model
from trainers.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Rows of a stage-1 snapshot that are mixed in; `share` is their part of all rows, below 1."""

    snapshot: Path
    share: float = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank adapters in place of training all weights; they are merged into the model at the end."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """The configuration; `training` holds arguments of TRL's `SFTConfig`.

    Rows of more than `max_tokens` tokens are left out and counted: a trace without its end teaches never to end.
    """

    model: Model
    snapshot: Path
    output: Path
    split: str = "train"
    replay: Replay | None = None
    lora: Lora | None = None
    max_tokens: int = 8192
    processes: int = 1
    seed: int = 1
    training: dict[str, Any] = field(default_factory=dict)


def train(config: ColdStart) -> None:
    """Train, or go on from the last checkpoint; the model ends in `output/model`, the record beside it."""
    from trl import SFTConfig, SFTTrainer

    from trainers.watch import Watch

    if (config.output / "model").exists():
        raise ConfigError(f"{config.output} holds a model already: give another output folder, or remove it")
    snapshot = open_stage(config.snapshot, "stage2")
    passive = open_stage(config.replay.snapshot, "stage1") if config.replay else None
    settings = arguments(
        SFTConfig,
        config.output,
        config.training,
        max_length=None,
        seed=config.seed,
        dataset_kwargs={"skip_prepare_dataset": "packing" not in config.training},
    )
    model, tokenizer = load_model(config.model)

    cache = config.output / "cache"
    examples, left_out = encoded(
        rows(snapshot, config.split, cache=cache),
        encoder(tokenizer, "stage2"),
        max_tokens=config.max_tokens,
        processes=config.processes,
    )
    if config.replay and passive:
        examples = _mixed(examples, passive, tokenizer, config)

    record = Record(
        config.output,
        {
            "trainer": "cold_start",
            "config": asdict(config),
            "snapshots": [one.manifest.hashed.content_hash for one in (snapshot, passive) if one],
            "base_model": config.model.path,
        },
    )
    record.metrics(0, {"rows": len(examples), "rows_too_long": left_out})
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=examples,
        processing_class=tokenizer,
        peft_config=peft_config(config.lora),
        callbacks=[Watch(record)],
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(config.output))

    if trainer.is_world_process_zero():
        trained = trainer.accelerator.unwrap_model(trainer.model)
        place = save_model(trained.merge_and_unload() if config.lora else trained, tokenizer, config.output / "model")
        record.checkpoint(trainer.state.global_step, place)
        record.finished({"steps": trainer.state.global_step})
        shutil.rmtree(cache, ignore_errors=True)


def _mixed(examples: Any, passive: Any, tokenizer: Any, config: ColdStart) -> Any:
    """Return the examples with as many passive ones as make up their share, repeated where there are too few."""
    import datasets

    assert config.replay is not None
    if not 0 < config.replay.share < 1:
        raise ConfigError(f"replay.share is {config.replay.share}: give a part of all rows between 0 and 1")
    found, _ = encoded(
        rows(passive, "train", cache=config.output / "cache"),
        encoder(tokenizer, "stage1"),
        max_tokens=config.max_tokens,
        processes=config.processes,
    )
    wanted = round(len(examples) * config.replay.share / (1 - config.replay.share))
    repeated = found.shuffle(seed=config.seed).select([number % len(found) for number in range(wanted)])
    return datasets.concatenate_datasets([examples, repeated]).shuffle(seed=config.seed)


def peft_config(lora: Lora | None) -> Any:
    """Return peft's configuration, none without adapters; raises `ConfigError` where peft is not installed."""
    if lora is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError:
        raise ConfigError("lora needs the package peft: pip install 'kat-data[train]'") from None
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        task_type="CAUSAL_LM",
    )


if __name__ == "__main__":
    launch(train, ColdStart, __doc__)
