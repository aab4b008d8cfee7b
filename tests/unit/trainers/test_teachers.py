import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from kat_data.errors import ConfigError
from trainers.config import Model
from trainers.teacher_cache import TeacherCache, Teaching
from trainers.teachers import Asked, LocalTeacher, fill, identity


def asked(number: int) -> Asked:
    draw = np.random.default_rng(number)
    sizes = draw.integers(1, 12, 2)
    prompt, tokens = (draw.integers(0, 300, size).tolist() for size in sizes)
    return Asked(key=number.to_bytes(32, "big"), prompt=prompt, tokens=tokens)


class Counting:
    """A teacher that notes what it was asked."""

    def __init__(self, tokens_at_once: int = 60) -> None:
        self.tokens_at_once = tokens_at_once
        self.groups: list[list[Asked]] = []

    def say(self, asked: Sequence[Asked]) -> list[Teaching]:
        self.groups.append(list(asked))
        return [said(one) for one in asked]


def said(one: Asked) -> Teaching:
    n = len(one.tokens)
    return Teaching(
        own=np.full(n, one.key[-1], np.float32),
        top=np.zeros((n, 2), np.float16),
        top_ids=np.zeros((n, 2), np.int32),
        tail=np.zeros(n, np.float32),
    )


def test_a_local_teacher_says_what_the_model_says(tiny_model: Path) -> None:
    rows = [asked(number) for number in range(5)]
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    told = LocalTeacher(Model(path=str(tiny_model), dtype="float32"), k=8).say(rows)
    for one, found in zip(rows, told, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([one.prompt + one.tokens])).logits[0, len(one.prompt) - 1 : -1]
        wanted = logits.log_softmax(-1)
        top, top_ids = wanted.topk(8)
        assert np.allclose(found.own, wanted.gather(-1, torch.tensor(one.tokens)[:, None])[:, 0], atol=1e-4)
        assert np.allclose(found.top, top, atol=5e-3)
        assert (found.top_ids == top_ids.numpy()).mean() > 0.99  # ties may fall either way
        assert np.allclose(found.tail, 1 - top.exp().sum(-1), atol=1e-5)


def test_more_than_the_vocabulary_leaves_no_tail(tiny_model: Path) -> None:
    size = AutoModelForCausalLM.from_pretrained(tiny_model).config.vocab_size
    [found] = LocalTeacher(Model(path=str(tiny_model), dtype="float32"), k=size + 3).say([asked(1)])
    assert found.top.shape[-1] == size + 3
    assert np.isneginf(found.top[:, -3:]).all()
    assert (found.top_ids[:, -3:] == -1).all()
    assert (found.tail == 0).all()


def test_only_what_is_missing_is_asked_once_each(tmp_path: Path) -> None:
    cache, rows = TeacherCache(tmp_path), [asked(number) for number in range(30)]
    assert fill(cache, Counting(), rows[:10]) == 10
    teacher = Counting()
    assert fill(cache, teacher, rows + rows, shard_tokens=40) == 20
    found = [one.key for group in teacher.groups for one in group]
    assert sorted(found) == [one.key for one in rows[10:]]
    assert fill(cache, Counting(), rows) == 0
    assert all(cache[one.key].own.tolist() == [one.key[-1]] * len(one.tokens) for one in rows)
    assert len(list(tmp_path.iterdir())) > 3


def test_a_group_stays_within_what_the_teacher_reads_at_once(tmp_path: Path) -> None:
    teacher = Counting(tokens_at_once=40)
    fill(TeacherCache(tmp_path), teacher, [asked(number) for number in range(60)])
    for group in teacher.groups:
        assert max(len(one.prompt) + len(one.tokens) for one in group) * len(group) <= 40 or len(group) == 1
    assert len(teacher.groups) < 40


def test_what_names_a_teacher(tiny_model: Path, tmp_path: Path) -> None:
    def named(**given: Any) -> dict[str, Any]:
        return identity(Model(**given), None, b"t")

    here = named(path=str(tiny_model))
    assert here == named(path=str(tiny_model.parent / "." / tiny_model.name))
    assert here != named(path=str(tiny_model), dtype="float32")
    assert named(path="org/teacher", revision="1") != named(path="org/teacher", revision="2")
    assert identity(Model(path=str(tiny_model), revision="1"), "r1", b"t")["name"] == "r1"
    with pytest.raises(ConfigError, match="give the commit as its revision"):
        named(path="org/teacher")
    with pytest.raises(ConfigError, match="give the commit as its revision"):
        identity(Model(path=str(tiny_model), revision="main"), "r1", b"t")


SLOW = """
import sys, time
from pathlib import Path
from tests.unit.trainers.test_teachers import Counting, asked
from trainers.teacher_cache import TeacherCache
from trainers.teachers import fill

class Slow(Counting):
    def say(self, rows):
        time.sleep(0.02)
        print(len(rows), flush=True)
        return super().say(rows)

fill(TeacherCache(Path(sys.argv[1])), Slow(20), [asked(n) for n in range(200)], shard_tokens=60)
"""


def test_a_killed_writer_goes_on_where_its_last_shard_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    while running.poll() is None and len(list(tmp_path.glob("*.safetensors"))) < 3:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    cache, rows, teacher = TeacherCache(tmp_path), [asked(number) for number in range(200)], Counting()
    kept = len(cache)
    assert 0 < kept < 200
    assert fill(cache, teacher, rows) == 200 - kept
    assert all(one.key in cache for one in rows)
