"""The arrows between packages point one way, and nothing heavy is loaded by importing the package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUND = {"errors", "hashing", "clock", "settings", "logs", "redaction", "observer", "__version__"}
BELOW_PIPELINE = {
    "domain",
    "llm",
    "verifiers",
    "sources",
    "sandbox",
    "snapshots",
    "registry",
    "stages",
    "decontam",
    "dedup",
}
BELOW_SHELL = BELOW_PIPELINE | {"curation", "pipeline", "executors", "recipes", "testing", "doctor", "metrics"}
# What each package may import of kat_data beside the ground floor and itself; a dotted name allows one module alone.
ARROWS = {
    "kat_data": set(),
    "kat_data/domain": set(),
    "kat_data/llm": {"domain"},
    "kat_data/verifiers": {"domain"},
    "kat_data/verifiers/code": {"domain", "verifiers", "sandbox"},
    "kat_data/verifiers/dispatch.py": {"domain", "verifiers", "sandbox.base"},
    "kat_data/verifiers/model_judge.py": {"domain", "verifiers", "llm"},
    "kat_data/sources": {"domain"},
    "kat_data/sandbox": {"domain"},
    "kat_data/decontam": {"domain"},
    "kat_data/dedup": {"domain"},
    "kat_data/snapshots": {"domain"},
    "kat_data/registry": {"domain"},
    "kat_data/stages": {"domain", "llm.model", "llm.prompts", "verifiers.verifier"},
    "kat_data/curation": {"domain", "registry"},
    "kat_data/recipes": set(),
    "kat_data/pipeline": BELOW_PIPELINE | {"recipes"},
    "kat_data/doctor": BELOW_PIPELINE | {"recipes", "pipeline", "executors"},
    "kat_data/executors": BELOW_PIPELINE | {"recipes", "pipeline"},
    "kat_data/metrics": {"domain", "registry"},
    "kat_data/testing": BELOW_PIPELINE | {"recipes", "pipeline", "executors"},
    "kat_data/cli": BELOW_SHELL,
    "workers": BELOW_SHELL,
    "migrations": {"registry"},
    "dashboard": {"domain", "registry.queries", "curation", "snapshots.read"},
    "trainers": {"domain", "verifiers", "sandbox", "snapshots.read"},
}
OUTSIDE = {"workers", "dashboard", "trainers", "torch", "trl", "transformers", "streamlit"}
FILES = sorted(
    path
    for top in ("kat_data", "workers", "migrations", "dashboard", "trainers")
    for path in ROOT.glob(f"{top}/**/*.py")
)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def owner(path: Path) -> str:
    relative = path.relative_to(ROOT)
    own = next((name for place in (relative, *relative.parents) for name in ARROWS if fnmatch(str(place), name)), None)
    assert own, f"{relative} belongs to no package of the architecture"
    return own


def wrong_arrows(path: Path) -> Iterator[str]:
    own = owner(path)
    allowed = GROUND | ARROWS[own] | ({own.split("/")[1]} if "/" in own and not own.endswith(".py") else set())
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "kat_data" and not any(f"{rest}.".startswith(f"{target}.") for target in allowed):
            yield name
        if top in OUTSIDE and own.startswith("kat_data"):
            yield name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_points_down(path: Path) -> None:
    assert list(wrong_arrows(path)) == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("kat_data/domain/x.py", "from kat_data.llm.model import Model"),
        ("kat_data/domain/x.py", "from kat_data import llm"),
        ("kat_data/stages/x.py", "import kat_data.registry.claims"),
        ("kat_data/stages/x.py", "from kat_data.llm.gateway import Gateway"),
        ("kat_data/snapshots/x.py", "from kat_data.registry import queries"),
        ("kat_data/verifiers/math/x.py", "from kat_data.sandbox.base import Sandbox"),
        ("kat_data/errors.py", "from kat_data.domain.mode import Mode"),
        ("kat_data/executors/x.py", "import torch"),
        ("trainers/x.py", "from kat_data.registry.queries import samples"),
    ],
)
def test_a_wrong_arrow_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, line: str) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(f"def late() -> None:\n    {line}\n", encoding="utf-8")
    assert len(list(wrong_arrows(path))) == 1


@pytest.mark.parametrize("module", ["kat_data", "kat_data.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = {"numpy", "torch", "streamlit", "celery", "sympy", "math_verify", "litellm", "pyarrow", "datasketch"}
    heavy |= {"matplotlib", "prometheus_client"}
    program = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
