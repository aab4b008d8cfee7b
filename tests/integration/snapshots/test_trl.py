"""TRL formats exported rows: every assistant text arrives whole, calls and tools as the chat template has them."""

import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kat_data.domain.mode import Mode
from kat_data.domain.rival import Fault, Rival
from kat_data.snapshots.formats.export import export
from kat_data.snapshots.formats.formats import ExportFormat
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import TrainingStage

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install 'kat-data[train]'")
    import datasets
    import transformers
    from tokenizers import Tokenizer, models
    from trl import data_utils

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A tokenizer without a vocabulary of note, with the chat template of Qwen 3."""
    template = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    plain = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="<unk>", eos_token="<unk>", chat_template=template.read_text()
    )


@pytest.fixture
def load(tmp_path: Path, build: Callable[..., Snapshot]) -> Callable[..., Any]:
    def load_(stage: TrainingStage, form: ExportFormat, **options: Any) -> Any:
        export(build(stage), form, tmp_path / "out", **options)
        return datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"), split="train")

    return load_


def formatted(row: dict[str, Any], tokenizer: Any) -> dict[str, str]:
    assert data_utils.is_conversational(row)
    kept = {name: row[name] for name in ("messages", "prompt", "completion", "chosen", "rejected") if name in row}
    found: dict[str, str] = data_utils.apply_chat_template(kept, tokenizer, tools=row["tools"])
    return found


@pytest.mark.parametrize("parquet", [False, True])
def test_conversations(load: Any, tokenizer: Any, parquet: bool) -> None:
    rows = load(TrainingStage.STAGE2, ExportFormat.TRL, parquet=parquet)
    texts = [formatted(row, tokenizer)["text"] for row in rows]
    for row, text in zip(rows, texts, strict=True):
        last = row["messages"][-1]
        answer = re.search(r"<answer>\n.*\n</answer>", last["content"])
        assert answer is not None
        assert answer[0] in text
        assert ("<tools>" in text) == bool(row["tools"])
    assert any('{"name": "add", "arguments": {"a": 5, "b": 1}}' in text for text in texts)
    assert any("<tool_response>" in text for text in texts)


def test_prompts_and_completions(load: Any, tokenizer: Any) -> None:
    for row in load(TrainingStage.STAGE1, ExportFormat.TRL):
        found = formatted(row, tokenizer)
        assert "<think_on>" in found["prompt"] or "<think_off>" in found["prompt"]
        assert "<answer>" in found["completion"]
        assert "<answer>" not in found["prompt"]


def test_preferences(load: Any, tokenizer: Any) -> None:
    def find(ids: Sequence[str]) -> dict[str, list[Rival]]:
        rival = Rival(
            turn=0, mode=Mode.OFF, thinking="", answer="No idea.", tool_calls=(), model="small",
            fault=Fault.INCORRECT, detail="-", mode_reason="One fact.",
        )  # fmt: skip
        return {ident: [rival] for ident in ids}

    rows = load(TrainingStage.STAGE2, ExportFormat.PREFERENCE, find_rivals=find)
    assert len(rows) == 40
    for row in rows:
        found = formatted(row, tokenizer)
        assert "No idea." in found["rejected"]
        assert "No idea." not in found["chosen"] + found["prompt"]
        assert "<answer>" in found["chosen"]


def test_prompts_for_reinforcement(load: Any, tokenizer: Any) -> None:
    rows = load(TrainingStage.STAGE3, ExportFormat.RL)
    assert {"verifier", "reference", "options", "pass_rate"} < set(rows.column_names)
    for row in rows:
        assert formatted(row, tokenizer)["prompt"].rstrip().endswith("assistant")
