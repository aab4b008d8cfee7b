"""The teacher cache beside the training step that it feeds: CPU seconds of shuffled reads and of forward and backward.

    python benchmarks/teacher_cache.py [--rows 1000] [--tokens 400] [--k 64] [--steps 20] [--json]

Needs the extra `train`. One thread. Rows are written in shards, then read in a shuffled order through the function that
makes batches, first with the shards dropped from the page cache and then again. The step is that of the smallest
student that the project trains (hidden 64, three layers, 300 words): the one that a slow cache would hold back most.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from trainers.mtp import Mtp
from trainers.student import Student, collate
from trainers.teacher_cache import TeacherCache, Teaching

WORDS, BATCH = 300, 8


def write(cache: TeacherCache, given: argparse.Namespace) -> list[dict[str, Any]]:
    draw, places = np.random.default_rng(1), list(range(given.tokens))
    lessons = []
    for start in range(0, given.rows, 100):
        said = {}
        for row in range(start, min(start + 100, given.rows)):
            logprobs = -np.sort(draw.exponential(4, (given.tokens, given.k)), axis=-1)
            said[row.to_bytes(32, "little")] = Teaching(
                own=logprobs[:, 0].astype(np.float32),
                top=logprobs.astype(np.float16),
                top_ids=draw.integers(0, WORDS, (given.tokens, given.k), dtype=np.int32),
                tail=np.full(given.tokens, 0.01, np.float32),
            )
            tokens = draw.integers(0, WORDS, given.tokens).tolist()
            spans = dict.fromkeys(("first", "last", "teacher_first", "teacher_last"), places)
            lesson = {"input_ids": [1, 2, 3, *tokens], "labels": [-100] * 3 + tokens, "key": row.to_bytes(32, "little")}
            lessons.append(lesson | spans)
        cache.add(said)
    return lessons


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    cpu, wall = process_time(), perf_counter()
    work()
    return process_time() - cpu, perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:>36} {value:12.2f}")


def measure(folder: Path, given: argparse.Namespace) -> dict[str, float]:
    lessons = write(TeacherCache(folder), given)
    order = np.random.default_rng(2).permutation(len(lessons))
    batches = [[lessons[at] for at in order[a : a + BATCH]] for a in range(0, len(order), BATCH)]
    size = sum(path.stat().st_size for path in folder.iterdir())
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    cache = TeacherCache(folder)
    tokens = len(lessons) * given.tokens
    cold, cold_wall = timed(lambda: [collate(batch, 0, cache) for batch in batches])
    warm, warm_wall = timed(lambda: [collate(batch, 0, cache) for batch in batches])
    without, _ = timed(lambda: [collate(batch, 0, None) for batch in batches])

    shape = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4}
    base = Qwen3ForCausalLM(Qwen3Config(vocab_size=WORDS, head_dim=16, num_key_value_heads=4, **shape))
    student = Student(base, Mtp(base, 1))
    ready = [collate(batch, 0, cache) for batch in batches[: given.steps]]
    step, _ = timed(partial(train, student, ready))
    trained = len(ready) * BATCH * given.tokens
    return {
        "bytes a token": size / tokens,
        "read, CPU us a token, cold": cold / tokens * 1e6,
        "read, wall us a token, cold": cold_wall / tokens * 1e6,
        "read, CPU us a token": warm / tokens * 1e6,
        "read, wall us a token": warm_wall / tokens * 1e6,
        "batch without a cache, CPU us": without / tokens * 1e6,
        "training step, CPU us a token": step / trained * 1e6,
        "step over read": (step / trained) / (warm / tokens),
    }


def train(student: Student, batches: list[dict[str, Any]]) -> None:
    for batch in batches:
        total = sum(one["ce"] + one["uld"] for one in student(**batch))
        total.backward()


if __name__ == "__main__":
    main()
