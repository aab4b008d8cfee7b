"""A stage-2 run of the shipped recipe over 2,000 real queries of all six categories reaches its mixture.

`KAT_TEST_DATA` names the folder that holds the public data sets; a scripted model that knows the answers is asked.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import orjson
import pytest

from kat_data.clock import SystemClock
from kat_data.domain.bad_line import BadLine
from kat_data.domain.category import Category
from kat_data.domain.mixture import mixture_of
from kat_data.domain.mode import Mode
from kat_data.domain.query import Query
from kat_data.domain.states import RunState
from kat_data.errors import SandboxMissing
from kat_data.executors.local import execute_run
from kat_data.pipeline.mixture import fillings
from kat_data.pipeline.publish import publish_run
from kat_data.pipeline.recipe import load_recipe, parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import benchmarks, queries
from kat_data.registry.imports import import_queries
from kat_data.registry.session import Registry
from kat_data.sandbox.base import Sandbox
from kat_data.sandbox.open import open_sandbox
from kat_data.snapshots.mixture import compare
from kat_data.snapshots.read import open_snapshot
from kat_data.sources.fields import parse_mapping
from kat_data.sources.presets import read_queries
from kat_data.sources.tool_preset import read_answers
from kat_data.testing.oracle import Oracle
from kat_data.testing.scripted_server import ScriptedServer

FOLDER = os.environ.get("KAT_TEST_DATA")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not FOLDER, reason="KAT_TEST_DATA does not name a folder with the public data sets"),
]
DATA = Path(FOLDER or ".")
SAMPLES = 400
# File, preset, how many of its queries, and what the preset needs beside.
SETS: Sequence[tuple[str, str, int, tuple[str, ...]]] = (
    ("gsm8k/train.jsonl", "gsm8k", 550, ()),
    ("mbpp/mbpp_511_974.jsonl", "mbpp", 400, ()),
    ("mmlu-stem/test.jsonl", "mcq", 350, ()),
    ("self-instruct/seed_tasks.jsonl", "self_instruct", 150, ()),
    ("bbh/date_understanding.json", "plain", 150, ("prompt=input", "reference=target", "category==general")),
    ("sharegpt-dummy/dummy_conversation.json", "sharegpt", 50, ()),
    ("mt-bench-101/mtbench101.jsonl", "plain", 150, ("category==multi_turn",)),
    ("bfcl-v4/BFCL_v4_simple_python.json", "bfcl", 200, ()),
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    for kind in ("docker", "bwrap"):
        try:
            opened = open_sandbox(kind, slots=2)
        except SandboxMissing:
            continue
        yield opened
        opened.close()
        return
    pytest.skip("no sandbox: programs cannot be verified")


def file_of(name: str, folder: Path) -> Path:
    """Return the file of a data set; of one in fields that no preset reads, a copy in those of `plain`."""
    if "mt-bench-101" not in name:
        return DATA / name
    talks = [orjson.loads(line)["history"] for line in (DATA / name).read_bytes().splitlines()]
    roles = ("user", "user"), ("bot", "assistant")
    spoken = [[{"role": role, "content": turn[who]} for turn in talk for who, role in roles][:-1] for talk in talks]
    copy = folder / "talks.jsonl"
    copy.write_bytes(b"\n".join(orjson.dumps({"messages": messages}) for messages in spoken))
    return copy


def read(folder: Path, file: str, preset: str, count: int, mapping: tuple[str, ...]) -> list[Query]:
    answers = read_answers(DATA / "bfcl-v4" / f"possible_answer.{Path(file).name}") if preset == "bfcl" else None
    rows = read_queries(
        file_of(file, folder),
        preset=preset,
        source=file,
        licence="any",
        mapping=parse_mapping(mapping),
        answers=answers,
    )
    found = (row[1] for row in rows if not isinstance(row, BadLine))
    wanted = (q for q in found if q.category is not Category.MULTI_TURN or len(q.user_turns) <= 3)
    return list(islice(wanted, count))


async def test_the_mixture_is_reached(registry: Registry, sandbox: Sandbox, tmp_path: Path) -> None:
    pool: list[Query] = []
    for entry in SETS:
        found = read(tmp_path, *entry)
        pool += found
        import_queries(
            registry, enumerate(found), source=entry[0], licence="any", file_name=entry[0], preset=entry[1],
            fingerprint=entry[0].encode().ljust(32, b"."),
        )  # fmt: skip
    assert len(pool) == 2000
    assert {query.category for query in pool} == set(Category)
    benchmarks.add_items(registry, "held", [(1, benchmarks.ItemKind.PROSE, pool[0].user_turns[0])])
    plain = load_recipe("stage2_cold_start").resolved()
    async with ScriptedServer(Oracle(pool)) as server:
        server.keep_bodies = False
        plain["endpoints"]["local"] |= {"url": server.url, "concurrency": 64}
        [select] = [stage["select"] for stage in plain["stages"] if "select" in stage]
        select["samples"] = SAMPLES
        recipe = parse_recipe(plain, "stage2")
        row, _ = open_run(registry, recipe)
        finished = await execute_run(registry, row, open_sandbox=lambda: sandbox)
    assert finished.state is RunState.FINISHED
    with registry.engine.connect() as connection:
        mixture = mixture_of(finished.recipe)
        assert mixture is not None
        strata = fillings(connection, row.id, mixture, finished.state, finished.reason)
        samples = queries.list_samples(connection, row.id, 10 * SAMPLES)
    for filling in strata:
        assert filling.state == "filled" or filling.state.startswith("pool ended"), filling
    written = publish_run(
        registry, tmp_path, row.id, name=None, partial=False, clock=SystemClock(), open_sandbox=lambda: sandbox
    )
    reached = compare(open_snapshot(written.path).distribution(), written.manifest.hashed.rows)
    assert [found.rows for found in reached.strata] == [min(f.samples, f.target) for f in strata]
    assert all(abs(found.difference) <= 2 for found in reached.strata), reached
    assert len(samples) == written.manifest.hashed.rows + written.surplus
    modes = Counter(sample["mode"] for sample in samples)
    assert 1.7 < modes[Mode.ON] / modes[Mode.OFF] < 2.4
