"""compose.yaml and what belongs to it: what they must never hold, and that Compose takes them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from kat_data.settings import Settings

ROOT = Path(__file__).parents[3]
FILES = ("compose.yaml", "compose.sandbox-engine.yaml")
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OWN_IMAGE = "${IMAGE:-kat-data:local}"
_VARIABLE = re.compile(r"\$\{(\w+)")
_EXAMPLE = re.compile(r"^#?(\w+)=(.*)$", re.MULTILINE)
_COMPOSERS = (("docker", "compose"), ("docker-compose",))
ENGINE = {"ENGINE_SOCKET": "/run/user/1000/docker.sock", "ENGINE_GROUP": "1000"}

each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_images_are_named_by_variables_with_a_tag(name: str) -> None:
    found = re.fullmatch(r"\$\{\w*IMAGE:-([\w/-]+):([\w.-]+)\}", SERVICES[name]["image"])
    assert found, "a digest can be put there from .env"
    assert found[2] != "latest"


@each_service
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"}
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "seccomp=unconfined" not in service["security_opt"]
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


@each_service
def test_nobody_is_root(name: str) -> None:
    service = SERVICES[name]
    if service["image"] == OWN_IMAGE:
        assert "user" not in service
        [*_, user] = re.findall(r"^USER (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    else:
        user = service["user"]
    assert user.partition(":")[0] not in ("", "0", "root")


@each_service
def test_no_port_is_open_to_others(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@each_service
def test_what_stays_is_watched_restarted_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    if service["restart"] == "no":  # it does one thing and ends
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert "stop_grace_period" in service or name == "redis"  # which has nothing to store


def test_only_workers_and_the_shell_run_programs_and_never_without_a_sandbox() -> None:
    sandboxed = {name for name, service in SERVICES.items() if "proc:/run/proc" in service.get("volumes", ())}
    assert sandboxed == {"worker", "kat"}
    assert {SERVICES[name]["environment"]["KAT_SANDBOX"] for name in sandboxed} == {"bwrap"}
    assert {name for name, service in SERVICES.items() if "outside" in service["networks"]} == sandboxed


def test_workers_wait_for_the_tables() -> None:
    waits = SERVICES["worker"]["depends_on"]
    assert waits["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_the_example_names_every_variable_and_holds_no_secret() -> None:
    text = (ROOT / ".env.example").read_text()
    known = dict(_EXAMPLE.findall(text))
    used = {name for file in FILES for name in _VARIABLE.findall((ROOT / file).read_text())}
    not_composes = {"COMPOSE_FILE", "OPENAI_API_KEY", "KAT_SANDBOX_SLOTS"}
    assert known.keys() == used | not_composes
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == ["POSTGRES_PASSWORD="]
    assert known["OPENAI_API_KEY"] == ""


def test_the_example_shows_the_defaults() -> None:
    known = dict(_EXAMPLE.findall((ROOT / ".env.example").read_text()))
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "compose.yaml").read_text()):
        assert known[name] == default, name


def test_the_environment_that_workers_get_is_valid(tmp_path: Path) -> None:
    given = dict(_EXAMPLE.findall((ROOT / ".env.example").read_text()))
    own = {name: re.sub(r"\$\{.*?\}", "x", value) for name, value in SERVICES["worker"]["environment"].items()}
    settings = Settings.load({**given, **own}, tmp_path)
    assert settings.sandbox == "bwrap"
    assert settings.heartbeat == Path("/tmp/heartbeat")
    assert settings.broker_url == "redis://redis:6379/0"


def test_the_filter_of_system_calls_leaves_bubblewrap_what_it_needs() -> None:
    [rule] = orjson.loads((ROOT / "stack" / "seccomp.json").read_bytes())["syscalls"]
    assert rule["action"] == "SCMP_ACT_ERRNO"
    assert len(rule["names"]) == len(set(rule["names"]))
    assert not set(rule["names"]) & {"clone", "clone3", "unshare", "mount", "umount2", "pivot_root", "seccomp", "prctl"}
    assert set(rule["names"]) >= {"bpf", "init_module", "kexec_load", "keyctl", "perf_event_open", "ptrace"}


@pytest.fixture(params=_COMPOSERS, ids=" ".join)
def compose(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Run a Compose on a copy of the files, with a `.env` of some settings."""
    command = request.param
    if shutil.which(command[0]) is None or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip(f"{' '.join(command)} is not installed")
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path)
    shutil.copytree(ROOT / "stack", tmp_path / "stack")

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        example = (ROOT / ".env.example").read_text()
        (tmp_path / ".env").write_text(example + "".join(f"{name}={value}\n" for name, value in settings.items()))
        return subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_compose_takes_the_files(compose: Any) -> None:
    shown = compose("config", POSTGRES_PASSWORD="secret1")
    assert shown.returncode == 0, shown.stderr
    services = yaml.safe_load(shown.stdout)["services"]
    assert "postgresql://kat:secret1@postgres:5432/kat" in shown.stdout
    assert services["worker"]["environment"]["KAT_SANDBOX"] == "bwrap"
    assert services["postgres"]["image"] == "postgres:18"


def test_compose_takes_another_engine(compose: Any) -> None:
    files = "compose.yaml:compose.sandbox-engine.yaml"
    shown = compose("config", POSTGRES_PASSWORD="secret1", COMPOSE_FILE=files, **ENGINE)
    assert shown.returncode == 0, shown.stderr
    worker = yaml.safe_load(shown.stdout)["services"]["worker"]
    assert worker["environment"]["KAT_SANDBOX"] == "docker"
    assert worker["environment"]["DOCKER_HOST"] == "unix:///run/engine.sock"
    assert [str(group) for group in worker["group_add"]] == ["1000"]
    assert ENGINE["ENGINE_SOCKET"] in str(worker["volumes"])


def test_without_a_password_nothing_starts(compose: Any) -> None:
    refused = compose("config")
    assert refused.returncode != 0
    assert "POSTGRES_PASSWORD" in refused.stderr
