"""What depth upscaling takes: peak memory and time of writing, by the size of the model.

    python benchmarks/upscale.py [--gigabytes 1 2] [--json]

Random Qwen2 models in bfloat16 are put on the disk, shard by shard, and upscaled by a quarter, each in a process of its
own. Measures the copying of weights and both checkpoints' hashes, not the measurement of saturation.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from trainers.forecast import expected_tensors

# `ru_maxrss` would hold the memory of this process, from which the other is forked; Linux alone tells this one.
MEASURED = """
import runpy
runpy.run_module("trainers.upscale", run_name="__main__", alter_sys=True)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
LAYERS = 16
SHARD = 200_000_000
SHAPE = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 32_000,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}


def shape(gigabytes: float) -> dict[str, Any]:
    """Return a configuration of about so many bytes of weights: a block has 17 times its width squared."""
    width = 64
    while 2 * (LAYERS * 17 * width**2 + 2 * 32_000 * width) < gigabytes * 1e9:
        width += 64
    return {**SHAPE, "hidden_size": width, "intermediate_size": 5 * width}


def make_model(folder: Path, config: dict[str, Any]) -> int:
    """Put random weights into a folder, one shard of them in memory at a time; returns their bytes."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    weight_map: dict[str, str] = {}
    held: dict[str, torch.Tensor] = {}
    tensors = expected_tensors(config)
    for number, (name, tensor) in enumerate(tensors.items()):
        held[name] = torch.randn(tensor.shape).bfloat16()
        if sum(one.nbytes for one in held.values()) > SHARD or number == len(tensors) - 1:
            file = f"model-{number:05}.safetensors"
            save_file(held, folder / file)
            weight_map |= dict.fromkeys(held, file)
            held = {}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return sum(tensor.size for tensor in tensors.values())


def upscale(source: Path, output: Path) -> dict[str, float]:
    """Upscale in a process of its own; returns its peak memory, in bytes, and its seconds."""
    config = output.with_suffix(".yaml")
    layers = list(range(0, LAYERS, 4))
    given = {"model": {"path": str(source)}, "output": str(output), "choice": "listed", "doubled": layers}
    config.write_text(json.dumps({**given, "target_layers": LAYERS + len(layers), "shard_bytes": 500_000_000}))
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEASURED, str(config)], capture_output=True, text=True, check=True)
    return {"peak": 1024 * int(done.stdout.split()[-2]), "seconds": time.perf_counter() - start}


def measure(gigabytes: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name) / "source", Path(name) / "output"
        read = make_model(source, shape(gigabytes))
        found = upscale(source, output)
        written = sum(file.stat().st_size for file in (output / "model").glob("*.safetensors"))
    return {"source": read, "written": written, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1.0, 2.0])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = [measure(size) for size in given.gigabytes]
    if given.json:
        print(json.dumps(found))
        return
    print(f"{'source':>9} {'written':>9} {'peak memory':>12} {'seconds':>8} {'written/s':>10}")
    for one in found:
        speed = one["written"] / one["seconds"] / 1e6
        print(
            f"{one['source'] / 1e9:6.2f} GB {one['written'] / 1e9:6.2f} GB {one['peak'] / 1e6:9.0f} MB"
            f" {one['seconds']:8.1f} {speed:5.0f} MB/s"
        )


if __name__ == "__main__":
    main()
