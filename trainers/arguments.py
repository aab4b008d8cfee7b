"""Arguments of TRL's and transformers' trainers, from the `training` part of a configuration."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from kat_data.errors import ConfigError

Arguments = TypeVar("Arguments")
CHECKPOINTS: Final = "checkpoints"

_OURS: Final = {"output_dir", "report_to", "push_to_hub", "logging_dir", "run_name"}
"""What the trainers decide themselves."""


def arguments(kind: Callable[..., Arguments], output: Path, given: Mapping[str, Any], **defaults: Any) -> Arguments:
    """Return `kind` filled with `given` over `defaults`; raises `ConfigError` where a key is unknown or ours.

    The libraries take bf16 and gradient checkpointing for granted also where there is no accelerator: on a CPU both
    are off unless they are given. A step that is not logged is not in the record, so that every tenth is by default.
    """
    import torch

    known = {field.name for field in fields(kind)} - _OURS  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ConfigError(f"training.{name} is no argument that can be set" + (f": {near[0]}?" if near else ""))
    here = torch.cuda.is_available()
    machine = {"bf16": here and torch.cuda.is_bf16_supported(), "activation_checkpointing": here}
    usual = {"report_to": [], "logging_steps": 10, "save_steps": 100, "save_total_limit": 2, "disable_tqdm": False}
    machine |= {} if here else {"use_cpu": True, "dataloader_pin_memory": False}
    try:
        return kind(output_dir=str(output / CHECKPOINTS), **{**machine, **usual, **defaults, **given})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training: {' '.join(str(error).split())}") from error


def last_checkpoint(output: Path) -> str | None:
    """Return the newest whole checkpoint of a run that was stopped, none where it has to begin at the start.

    The trainer's state is what it writes last: a folder without it was cut off by a kill.
    """
    found = sorted((output / CHECKPOINTS).glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    return next((str(folder) for folder in reversed(found) if _is_whole(folder / "trainer_state.json")), None)


def _is_whole(state: Path) -> bool:
    try:
        return isinstance(orjson.loads(state.read_bytes()), dict)
    except (OSError, ValueError):
        return False
