"""Public data sets import with their presets, whole. `KAT_TEST_DATA` names the folder that holds them."""

import os
from collections import Counter
from pathlib import Path

import pytest

from kat_data.domain.bad_line import BadLine
from kat_data.domain.query import Query
from kat_data.registry.imports import ImportReport, import_queries
from kat_data.registry.session import Registry
from kat_data.sources.fields import parse_mapping
from kat_data.sources.presets import fingerprint, read_queries
from kat_data.sources.tool_preset import read_answers

FOLDER = os.environ.get("KAT_TEST_DATA")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not FOLDER, reason="KAT_TEST_DATA does not name a folder with the public data sets"),
]
DATA = Path(FOLDER or ".")


def load(file: str, preset: str, answers: str | None = None, mapping: tuple[str, ...] = ()) -> list[Query]:
    path = DATA / file
    if not path.exists():
        pytest.skip(f"{path} is absent")
    joined = read_answers(DATA / answers) if answers else None
    options = {"mapping": parse_mapping(mapping), "answers": joined}
    items = list(read_queries(path, preset=preset, source=file, licence="any", **options))
    assert [item for item in items if isinstance(item, BadLine)] == []
    return [item[1] for item in items if not isinstance(item, BadLine)]


@pytest.mark.parametrize(
    ("file", "preset", "rows"),
    [
        ("gsm8k/train.jsonl", "gsm8k", 7473),
        ("math-test/test.json", "math", 5000),
        ("svamp/test.jsonl", "math", 1000),
        ("mawps/test.jsonl", "math", 2065),
        ("cmath-zh/test.jsonl", "math", 600),
        ("aqua/test.jsonl", "mcq", 254),
        ("mmlu-stem/test.jsonl", "mcq", 3018),
        ("mbpp/mbpp_511_974.jsonl", "mbpp", 464),
    ],
)
def test_verifiable_rows(file: str, preset: str, rows: int) -> None:
    queries = load(file, preset)
    assert len(queries) == rows
    assert all(query.reference and query.verifier for query in queries)


@pytest.mark.parametrize("name", ["simple_python", "simple_java", "multiple", "parallel"])
def test_tool_use(name: str) -> None:
    file = f"BFCL_v4_{name}.json"
    queries = load(f"bfcl-v4/{file}", "bfcl", f"bfcl-v4/possible_answer.{file}")
    assert all(query.tools and query.verifier for query in queries)


def test_conversations_and_instructions() -> None:
    assert Counter(q.category.value for q in load("sharegpt-dummy/dummy_conversation.json", "sharegpt")) == {
        "multi_turn": 333,
        "general": 167,
    }
    assert len(load("self-instruct/seed_tasks.jsonl", "self_instruct")) == 175


def test_other_shapes_by_mapping() -> None:
    assert len(load("bbh/date_understanding.json", "plain", mapping=("prompt=input", "reference=target"))) == 250
    mapping = ("prompt=problem_text", "reference=answer_number", "verifier==math", "category==science")
    assert len(load("scibench/atkins.json", "plain", mapping=mapping)) > 100


def test_mawps_reports_its_duplicates(registry: Registry) -> None:
    path = DATA / "mawps/test.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is absent")

    def run() -> ImportReport:
        return import_queries(
            registry,
            read_queries(path, preset="math", source="mawps", licence="MIT"),
            source="mawps",
            licence="MIT",
            file_name=path.name,
            preset="math",
            fingerprint=fingerprint(path, preset="math", source="mawps"),
        )

    report = run()
    assert (report.rows, report.imported, report.duplicates, report.identical) == (2065, 1978, 87, 84)
    assert run().finished_before
