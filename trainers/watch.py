"""What a trainer measures as it goes, noted in the run's record."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from trainers.record import Record


class Watch(TrainerCallback):
    """Writes every logged metric and every checkpoint into the record, on the first process alone."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs:
            values = {name: value for name, value in logs.items() if isinstance(value, int | float)}
            self._record.metrics(state.global_step, values)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._record.checkpoint(state.global_step, Path(args.output_dir) / f"checkpoint-{state.global_step}")
