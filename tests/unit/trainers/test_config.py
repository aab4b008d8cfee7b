from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kat_data.errors import ConfigError
from trainers.config import Model, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    model: Model
    output: Path
    rate: float = 1.0
    other: Model | None = None
    training: dict[str, Any] = field(default_factory=dict)


def write(folder: Path, text: str) -> Path:
    (folder / "c.yaml").write_text(text, encoding="utf-8")
    return folder / "c.yaml"


def test_a_file_and_overrides_fill_the_dataclass(tmp_path: Path) -> None:
    path = write(tmp_path, "model: {path: m}\noutput: out\ntraining: {max_steps: 3}\n")
    found = load(path, Small, ["rate=0.5", "training.max_steps=7", "other.path=n", "model.dtype=float32"])
    assert found == Small(
        model=Model(path="m", dtype="float32"),
        output=Path("out"),
        rate=0.5,
        other=Model(path="n"),
        training={"max_steps": 7},
    )


@pytest.mark.parametrize(
    ("text", "overrides", "told"),
    [
        ("- 1", [], "a configuration is a mapping"),
        ("model: {path: m}", [], "output: field required"),
        ("model: {path: m}\noutput: o\nrat: 1", [], "unknown key `rat`: did you mean `rate`?"),
        ("model: {pat: m}\noutput: o", [], "unknown key `model.pat`: did you mean `path`?"),
        ("model: {path: m}\noutput: o\nother: {pth: m}", [], "unknown key `other.pth`"),
        ("model: {path: m, dtype: float8}\noutput: o", [], "model.dtype: input should be 'auto'"),
        ("model: {path: m}\noutput: o", ["rate"], "write it as key=value"),
        ("model: {path: m}\noutput: o\nrate: fast", [], "rate: input should be a valid number"),
        ("model: {path: m", [], "not YAML"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), Small, overrides)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml", Small)
