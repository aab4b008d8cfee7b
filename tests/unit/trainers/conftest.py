"""A tiny model with its tokenizer, and snapshots for each stage, all made here."""

import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # several times faster than two where anything else runs

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.sample import Sample, Turn
from kat_data.hashing import content_hash
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.record import Row, TrainingStage

WITHOUT = importlib.util.find_spec("trl") is None
collect_ignore_glob = ["test_*.py"] if WITHOUT else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if WITHOUT:
        terminalreporter.write_line("SKIPPED tests/unit/trainers: the extra `train` is not installed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the libraries warn each other of is not ours to mend."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore::FutureWarning"))


def make_row(number: int) -> Row:
    mode = Mode.ON if number % 2 else Mode.OFF
    turns = [
        Turn(
            user=f"What is {number + at} + 1?",
            judge_analysis="A sum.",
            mode=mode if at == 0 else Mode.OFF,
            thinking=f"{number} and one" if mode is Mode.ON and at == 0 else "",
            answer=str(number + at + 1),
        )
        for at in range(2 if number % 3 == 0 else 1)
    ]
    return Row(
        sample=Sample(system=None, tools=(), turns=tuple(turns)),
        query=content_hash(["query", number]).hex(),
        lineage=content_hash(["lineage", number]).hex(),
        category=Category.MATH,
        source="made-up",
        licence="MIT",
        difficulty=float(1 + number % 10),
        reference=turns[-1].answer,
        verifier=VerifierSpec(kind=VerifierKind.MATH),
        pass_rate=0.5,
    )


@pytest.fixture(scope="session")
def make_snapshot(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that gives the folder of a snapshot of a stage, with rows of both modes."""

    def make(stage: str, number: int = 24) -> Path:
        spec = SnapshotSpec(
            name="tiny", stage=TrainingStage(stage), seed=1, recipe={}, built_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        rows = {"train": [make_row(n) for n in range(number)], "validation": [make_row(n) for n in range(100, 104)]}
        return write_snapshot(tmp_path_factory.mktemp("snapshots"), spec, rows).path

    return make


@pytest.fixture
def kill_when() -> Callable[[Sequence[Any], Path], None]:
    """Return a function that runs a command, and kills it as soon as a file is there, before its end."""

    def kill(command: Sequence[Any], file: Path) -> None:
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while running.poll() is None:
            if file.exists():
                running.send_signal(signal.SIGKILL)
            time.sleep(0.002)
        assert running.returncode == -signal.SIGKILL

    return kill


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level BPE tokenizer that was trained on a few words, with the template's tags."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    from trainers.tokens import prepare

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = ["What is the sum? A sum. and one user assistant system tool"] * 3
    made.train_from_iterator(words, BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False))
    return prepare(PreTrainedTokenizerFast(tokenizer_object=made))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """The folder of a Qwen3 model with two layers of 32, random weights."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("model")
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def other_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a tokenizer whose tokens reach over words and tags, and a chat template of its own."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.trainers import BpeTrainer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    options = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet(), "special_tokens": ["</s>"]}
    words = ["<think>\n10 and one\n</think>\n<answer>\n11\n</answer>"] * 3
    made.train_from_iterator(words, BpeTrainer(vocab_size=300, show_progress=False, **options))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'said: <think>\n' }}{% endif %}"
    )
    torch.manual_seed(2)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder = tmp_path_factory.mktemp("teacher")
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512, **shape)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder
