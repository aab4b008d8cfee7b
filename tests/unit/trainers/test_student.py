"""The sums of a batch against a loop over rows, depths and spans that has no batches, blocks or indices in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from trainers.mtp import Mtp
from trainers.student import Student, collate
from trainers.teacher_cache import Teaching

K, VOCABULARY = 400, 60  # K covers both vocabularies: nothing is approximated


def row(seed: int, prompt: int, spans: list[tuple[int, int]]) -> tuple[dict[str, Any], Teaching, torch.Tensor]:
    """A lesson whose spans have so many tokens of student and teacher, what the teacher says, and its distributions."""
    draw = np.random.default_rng(seed)
    ours, theirs = np.array(spans).T.cumsum(-1)
    tokens, said = draw.integers(0, 200, ours[-1] + 1), draw.integers(0, VOCABULARY, theirs[-1] + 1)
    logprobs = torch.from_numpy(draw.normal(size=(len(said), VOCABULARY)) * 3).log_softmax(-1).float()
    example = {
        "input_ids": [*draw.integers(0, 200, prompt).tolist(), *tokens.tolist()],
        "labels": [-100] * prompt + tokens.tolist(),
        "key": seed.to_bytes(32, "big"),
        "first": [0, *ours[:-1]],
        "last": (ours - 1).tolist(),
        "teacher_first": [0, *theirs[:-1]],
        "teacher_last": (theirs - 1).tolist(),
    }
    top = np.pad(logprobs.sort(descending=True).values.numpy(), ((0, 0), (0, K - VOCABULARY)), constant_values=-np.inf)
    own = logprobs.gather(-1, torch.from_numpy(said)[:, None])[:, 0].numpy()
    return example, Teaching(own=own, top=top, top_ids=top, tail=np.zeros(len(own), np.float32)), logprobs


@pytest.fixture
def student(tiny_model: Path) -> Student:
    torch.manual_seed(3)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    with torch.no_grad():
        for weight in base.parameters():
            weight.mul_(3)
    return Student(base, Mtp(base, 2)).eval()


ROWS = [(1, 5, [(1, 1), (2, 1), (1, 3), (3, 2)]), (2, 9, [(1, 2)]), (3, 4, [(2, 2), (1, 1), (1, 1)])]


def naive(student: Student, example: dict[str, Any], own: np.ndarray, logprobs: torch.Tensor) -> list[list[float]]:
    """For each depth of one row alone: cross-entropy, ULD, hits."""
    ids = torch.tensor([example["input_ids"]])
    start = example["labels"].count(-100)
    hidden = student.base.model(ids).last_hidden_state
    assert student.mtp is not None
    found = []
    for depth, state in enumerate([hidden, *student.mtp(student.base, hidden, ids, torch.ones_like(ids))]):
        said = student.base.lm_head(state)[0].log_softmax(-1)
        at = [said[start + n - depth - 1] for n in range(len(example["input_ids"]) - start)]
        actual = example["input_ids"][start:]
        entropy = -sum(float(place[token]) for place, token in zip(at, actual, strict=True))
        hits = sum(int(place.argmax() == token) for place, token in zip(at, actual, strict=True))
        uld = 0.0
        for m in range(len(example["first"])):
            ours = torch.exp(at[example["last"][m]])
            for n in range(example["first"][m], example["last"][m]):
                ours = ours * torch.exp(at[n][actual[n]])
            theirs = torch.exp(logprobs[example["teacher_last"][m]])
            for n in range(example["teacher_first"][m], example["teacher_last"][m]):
                theirs = theirs * float(np.exp(own[n]))
            wide = torch.nn.functional.pad(theirs, (0, len(ours) - VOCABULARY))
            uld += float((ours.sort().values - wide.sort().values).abs().sum())
        found.append([entropy, uld, float(hits)])
    return found


def test_the_sums_of_a_batch_are_those_of_its_rows(student: Student) -> None:
    made = [row(*one) for one in ROWS]
    cache = {example["key"]: teaching for example, teaching, _ in made}
    with torch.no_grad():
        found = student(**collate([example for example, _, _ in made], padding=0, cache=cache))
        alone = [naive(student, example, teaching.own, logprobs) for example, teaching, logprobs in made]
    for depth, sums in enumerate(found):
        wanted = torch.tensor([one[depth] for one in alone]).sum(0)
        told = torch.stack([sums["ce"], sums["uld"], sums["right"].float()])
        torch.testing.assert_close(told, wanted, rtol=2e-3, atol=1e-4)
        assert wanted[1] > 1


def test_padding_and_other_rows_reach_no_row(student: Student) -> None:
    made = [row(*one) for one in ROWS]
    cache = {example["key"]: teaching for example, teaching, _ in made}
    batch = collate([example for example, _, _ in made], padding=0, cache=cache)
    other = batch | {"input_ids": torch.where(batch["attention_mask"] == 1, batch["input_ids"], 7)}
    with torch.no_grad():
        for one, two in zip(student(**batch), student(**other), strict=True):
            torch.testing.assert_close(one, two)


def test_without_a_teacher_its_part_is_nothing(student: Student) -> None:
    example, _, _ = row(*ROWS[0])
    with torch.no_grad():
        alone = student(**collate([example], padding=0, cache=None))
    assert [float(one["uld"]) for one in alone] == [0, 0, 0]
    assert all(one["ce"] > 0 for one in alone)


def test_every_weight_is_taught(student: Student, make_snapshot: Callable[..., Path]) -> None:
    example, teaching, _ = row(*ROWS[0])
    student.train()
    for depths in (student(**collate([example], padding=0, cache={example["key"]: teaching})),):
        sum(one["ce"] + one["uld"] for one in depths).backward()
    assert [name for name, weight in student.named_parameters() if weight.grad is None] == []
