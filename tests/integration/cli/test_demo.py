"""The demo as a new user runs it: offline, from the recorded ledger, and again without doing anything twice."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kat_data.domain.call import CallRequest, Reply
from kat_data.domain.drop import DropReason
from kat_data.errors import RecordingMiss, SandboxMissing
from kat_data.executors.local import execute_run
from kat_data.llm.replay import Recording, ReplayClient
from kat_data.pipeline.recipe import load_recipe
from kat_data.pipeline.run import open_run
from kat_data.pipeline.wiring import recording_path
from kat_data.recipes import DEMO_QUERIES
from kat_data.registry import embedded
from kat_data.registry.imports import import_queries
from kat_data.registry.session import Registry
from kat_data.sandbox.open import open_sandbox
from kat_data.sandbox.pool import SlotPool
from kat_data.sources.presets import fingerprint, read_queries

pytestmark = pytest.mark.integration

CATEGORIES = {"code", "math", "science", "general", "multi_turn", "tool_use"}


class NamingReplay:
    """A replay that notes every call which the recording lacks."""

    def __init__(self) -> None:
        self._replay = ReplayClient(Recording.load(recording_path("demo")))
        self.asked: set[str] = set()
        self.missing: list[str] = []

    async def complete(self, request: CallRequest) -> Reply:
        self.asked.add(request.key.hex())
        try:
            return await self._replay.complete(request)
        except RecordingMiss as error:
            self.missing.append(str(error))
            raise

    async def close(self) -> None:
        await self._replay.close()


@pytest.fixture(params=["none", "docker", "bwrap"])
def sandbox(request: pytest.FixtureRequest) -> SlotPool:
    try:
        return open_sandbox(request.param, slots=2)
    except SandboxMissing as error:
        pytest.skip(str(error))


async def test_every_call_of_the_demo_is_recorded_and_no_other(registry: Registry, sandbox: SlotPool) -> None:
    options = {"preset": "plain", "source": "demo"}
    import_queries(
        registry,
        read_queries(DEMO_QUERIES, licence="Apache-2.0", **options),
        licence="Apache-2.0",
        file_name=DEMO_QUERIES.name,
        fingerprint=fingerprint(DEMO_QUERIES, **options),
        **options,
    )
    run, _ = open_run(registry, load_recipe("demo"))
    client = NamingReplay()

    try:
        await execute_run(registry, run, client=lambda name, spec: client, open_sandbox=lambda: sandbox)
    except RecordingMiss:
        pytest.fail("`make record-demo` has to record:\n" + "\n".join(client.missing))

    recorded = set(Recording.load(recording_path("demo")).keys)
    assert client.asked == recorded if sandbox.trusted else client.asked < recorded


def test_the_recording_is_small() -> None:
    assert recording_path("demo").stat().st_size < 3_000_000


def kat(home: Path, *arguments: str, sandbox: str = "none") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "KAT_HOME": str(home), "KAT_SANDBOX": sandbox}
    environ.pop("KAT_DATABASE_URL", None)
    command = [sys.executable, "-m", "kat_data.cli.main", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    embedded.stop(tmp_path)


@pytest.fixture(scope="module")
def home(postgres_home: Path) -> Path:
    return postgres_home


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_demo_runs_offline_and_its_second_run_does_nothing(home: Path) -> None:
    first = kat(home, "demo", "--json")
    found = document(first)

    assert "recorded ledger" in first.stderr
    assert found["state"] == "finished"
    assert found["queries"] == 48
    assert sum(entry["items"] for entry in found["funnel"]) == 48
    assert {entry["category"] for entry in found["composition"]} == CATEGORIES
    assert sum(entry["think_on"] for entry in found["composition"]) > 0
    assert sum(entry["think_off"] for entry in found["composition"]) > 0
    assert found["cost"]["made"] == found["cost"]["recorded"] > 0
    assert found["cost"]["usd"] > 0
    assert found["snapshot"]["name"] == "demo@1"
    assert found["snapshot"]["rows"] == found["accepted"]

    again = document(kat(home, "demo", "--json"))

    assert again == found


def test_programs_drop_without_a_sandbox_and_wrong_answers_by_the_verifier(home: Path) -> None:
    reasons = {entry["reason"]: entry["items"] for entry in document(kat(home, "demo", "--json"))["funnel"]}

    assert reasons[DropReason.NO_SANDBOX.value] > 0
    assert reasons[DropReason.WRONG_ANSWER.value] > 0


def test_programs_are_verified_where_there_is_a_sandbox(fresh_home: Path, sandbox: SlotPool) -> None:
    if not sandbox.trusted:
        pytest.skip("none isolates nothing")
    before = document(kat(fresh_home, "demo", "--json"))
    late = kat(fresh_home, "demo", "--json", sandbox=sandbox.name.partition(" ")[0])
    found = document(late)

    assert "taken up again" in late.stderr
    assert (found["run"], found["accepted"] > before["accepted"]) == (before["run"], True)
    assert DropReason.NO_SANDBOX.value not in {entry["reason"] for entry in found["funnel"]}
    [code] = [entry for entry in found["composition"] if entry["category"] == "code"]
    assert code["think_on"] + code["think_off"] > 0
    assert document(kat(fresh_home, "snapshots", "verify", "demo@2", "--json"))["ok"] is True
    [path] = fresh_home.glob("snapshots/*/2/manifest.json")
    manifest = json.loads(path.read_text())
    [measured] = [rate for rate in manifest["unhashed"]["error_rates"] if rate["verifier"].startswith("code/")]
    assert (measured["wrong"], measured["cases"]) == (0, 34)

    create = ["snapshots", "create", "--run", str(found["run"]), "--root", str(fresh_home / "elsewhere"), "--json"]
    unmeasured = document(kat(fresh_home, *create))
    assert unmeasured["content_hash"] == manifest["content_hash"]
    assert (unmeasured["snapshot"], unmeasured["existed"]) == ("demo@2", False)
    assert "| code/2 | not measured here |" in (fresh_home / "elsewhere/demo/2/README.md").read_text()


def test_the_demo_prints_what_a_newcomer_wants_to_know(home: Path) -> None:
    result = kat(home, "demo")

    assert result.returncode == 0, result.stderr
    for words in ("funnel of run", "composition", "think_on sample", "think_off sample", "would have cost", "next"):
        assert words in result.stdout + result.stderr
    assert "DOES NOT ADD UP" not in result.stdout


def test_the_demos_snapshot_verifies_and_its_samples_have_a_whole_lineage(home: Path) -> None:
    run = document(kat(home, "demo", "--json"))["run"]

    assert document(kat(home, "snapshots", "verify", "demo@1", "--json"))["ok"] is True
    sample = json.loads(kat(home, "samples", "list", "--run", str(run), "--json").stdout)[0]
    lineage = document(kat(home, "samples", "show", str(sample["id"]), "--json"))

    assert lineage["calls"]
    assert lineage["snapshots"][0]["name"] == "demo"
    assert lineage["messages"][-1]["role"] == "assistant"
