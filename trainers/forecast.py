"""What an upscaling will write, and the memory that it needs, from the shapes of the tensors alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from trainers.shards import BUFFER, Entry, Tensor

_TYPES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Parameters, and bytes on the disk and in memory.

    `bytes_to_write` is what the disk needs; `memory_to_write` is beside Python's own; `memory_to_measure` holds the
    source's weights alone, to which one batch's activations come.
    """

    source_parameters: int
    source_bytes: int
    parameters: int
    bytes_to_write: int
    shards: int
    memory_to_write: int
    memory_to_measure: int

    def lines(self) -> Iterator[str]:
        """Yield the figures for people."""
        yield f"source: {self.source_parameters:,} parameters, {size(self.source_bytes)}"
        yield f"result: {self.parameters:,} parameters ({self.parameters / 1e9:.2f} B)"
        yield f"to be written: {size(self.bytes_to_write)} in {self.shards} {'file' if self.shards == 1 else 'files'}"
        yield (
            f"memory: {size(self.memory_to_write)} to write; {size(self.memory_to_measure)} of weights, and one batch,"
            " to measure saturation"
        )

    def to_json(self) -> dict[str, int]:
        """Return the figures as JSON values."""
        return asdict(self)


def forecast(tensors: Mapping[str, Tensor], shards: Sequence[Sequence[Entry]]) -> Forecast:
    """Return the figures of writing `shards`, which were made of the source's `tensors`."""
    written = [entry.tensor for shard in shards for entry in shard]
    source_bytes = sum(tensor.size for tensor in tensors.values())
    return Forecast(
        source_parameters=sum(tensor.parameters for tensor in tensors.values()),
        source_bytes=source_bytes,
        parameters=sum(tensor.parameters for tensor in written),
        bytes_to_write=sum(tensor.size for tensor in written),
        shards=len(shards),
        memory_to_write=BUFFER,
        memory_to_measure=source_bytes,
    )


def expected_tensors(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a model with this `config.json`, built on the meta device: without a byte of weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = getattr(torch, str(config.get("dtype") or config.get("torch_dtype") or "bfloat16"))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), dtype=dtype)
    return {
        name: Tensor(dtype=_TYPES[str(dtype).removeprefix("torch.")], shape=tuple(found.shape), size=found.nbytes)
        for name, found in model.named_parameters()  # a tied head is counted once, and is not stored
    }


def size(count: int) -> str:
    """Return a number of bytes for people, in powers of 1,000."""
    unit = next(unit for unit in (10**9, 10**6, 10**3, 1) if count >= unit or unit == 1)
    return f"{count / unit:,.1f} {({10**9: 'GB', 10**6: 'MB', 10**3: 'kB', 1: 'bytes'})[unit]}"
