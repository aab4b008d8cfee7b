"""The stack of compose.yaml, brought up from the images of stack/build_offline.sh, and a small job through it."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
IMAGES = {"IMAGE": "kat-data:local", "POSTGRES_IMAGE": "kat-data-postgres:local", "REDIS_IMAGE": "kat-data-redis:local"}
WORKERS = 2
SUMS = [{"prompt": f"What is {n} + {7 * n}?", "category": "math", "reference": str(8 * n), "verifier": "math"}
        for n in range(1, 20)]  # fmt: skip
PROGRAM = {
    "text": "Write a function that returns the n-th triangular number.",
    "code": "def triangular(n):\n    return n * (n + 1) // 2",
    "test_list": ["assert triangular(3) == 6", "assert triangular(0) == 0"],
}
RECIPE = {
    "name": "stack",
    "seed": 1,
    "endpoints": {"beside": {"url": "http://endpoint:8000/v1", "concurrency": 8}},
    "models": {"chat": {"endpoint": "beside", "model": "scripted", "price": {"prompt": 0.0, "completion": 0.0}}},
    "roles": {role: [{"model": "chat"}] for role in ("taggers", "voters", "responder", "reasoner", "judge", "panel")},
    "stages": ["normalise", "tag", "vote_mode", "sample_off", "sample_on", "verify", "judge_mode"],
    "snapshot": {"name": "stack", "stage": "stage2"},
}
BESIDE = {
    "services": {
        "endpoint": {
            "image": IMAGES["IMAGE"],
            "command": ["python", "/files/endpoint.py"],
            "volumes": ["./files:/files:ro"],
            "networks": ["outside"],
            "init": True,
        }
    }
}


class Stack:
    """`docker-compose` on a copy of the files, as a project with a name of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._folder = folder
        self.project = f"kat-test-{secrets.token_hex(4)}"
        self._command = [*command, "--project-name", self.project, "--file", "compose.yaml", "--file", "beside.yaml"]

    def __call__(self, *arguments: str) -> str:
        """Run a command that has to succeed, and return what it prints."""
        done = subprocess.run(
            [*self._command, *arguments], cwd=self._folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def kat(self, *arguments: str) -> Any:
        """Return the document that a command of the shell `kat` prints."""
        return orjson.loads(self("run", "--rm", "-T", "kat", *arguments, "--json"))

    def inspect(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine says of the service's containers."""
        ids = self("ps", "--quiet", service).split()
        return list(orjson.loads(subprocess.check_output(["docker", "inspect", *ids])))


def composer() -> list[str]:
    """Return the command of whichever Compose is here, or skip."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            return command
    pytest.skip("no Compose: apt-get install docker-compose")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    command = composer()
    for image in IMAGES.values():
        if docker("image", "inspect", image).returncode:
            pytest.skip(f"no engine with the image {image}: run stack/build_offline.sh")
    if not containers_meet():
        pytest.skip("this engine's containers do not reach each other: it runs without iptables, behind a firewall")
    folder = tmp_path_factory.mktemp("stack")
    prepare(folder)
    stack = Stack(command, folder)
    try:
        stack("up", "--detach", "--no-build", "--scale", f"worker={WORKERS}")
        yield stack
    finally:
        stack("down", "--volumes", "--remove-orphans")


def containers_meet() -> bool:
    """Whether a container reaches another on a network of theirs."""
    network, image = f"kat-test-{secrets.token_hex(4)}", IMAGES["IMAGE"]
    ask = (
        "import socket, time\n"
        "until = time.monotonic() + 10\n"
        "while True:\n"
        "    try:\n"
        "        socket.create_connection(('beside', 8000), timeout=2)\n"
        "        break\n"
        "    except OSError:\n"
        "        if time.monotonic() > until: raise\n"
        "        time.sleep(0.1)\n"
    )
    at = ("--rm", "--network", network)
    docker("network", "create", "--internal", network)
    try:
        named = (*at, "--name", network, "--network-alias", "beside")
        docker("run", "--detach", *named, image, "python", "-m", "http.server")
        return docker("run", *at, image, "python", "-c", ask).returncode == 0
    finally:
        docker("rm", "--force", network)
        docker("network", "rm", network)


def docker(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False)


def prepare(folder: Path) -> None:
    """Lay out a user's folder: the repository's files, a `.env`, and recipe and queries in files/."""
    shutil.copy(ROOT / "compose.yaml", folder)
    shutil.copytree(ROOT / "stack", folder / "stack")
    settings = {
        **IMAGES, "POSTGRES_PASSWORD": secrets.token_hex(16), "WORKER_PROCESSES": "1", "WORKER_MEMORY": "2g",
        "FILES": "./files",
    }  # fmt: skip
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    (folder / ".env").chmod(0o600)
    (folder / "beside.yaml").write_text(yaml.safe_dump(BESIDE))
    files = folder / "files"
    files.mkdir()
    shutil.copy(Path(__file__).with_name("endpoint.py"), files)
    (files / "sums.jsonl").write_bytes(b"\n".join(map(orjson.dumps, SUMS)))
    (files / "programs.jsonl").write_bytes(orjson.dumps(PROGRAM))
    (files / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    for path in (folder, files, *files.iterdir()):
        path.chmod(0o755)  # in the containers it is another user who reads them


def test_a_job_goes_through_the_stack(stack: Stack) -> None:
    for preset, name in (("plain", "sums.jsonl"), ("mbpp", "programs.jsonl")):
        stack.kat("queries", "import", name, "--preset", preset, "--source", "test", "--licence", "MIT")
    report = stack.kat("run", "recipe.yaml", "--executor", "celery")
    assert report["state"] == "finished"
    samples = stack.kat("samples", "list", "--run", str(report["run"]))
    assert len(samples) == len(SUMS) + 1

    [program] = [sample for sample in samples if sample["category"] == "code"]
    [verdict] = stack.kat("samples", "show", str(program["id"]))["verdicts"]
    assert (verdict["status"], verdict["outcome"]) == ("passed", "correct")
    assert verdict["verifier"].startswith("code")

    stack.kat("snapshots", "create", "--run", str(report["run"]))
    assert stack.kat("snapshots", "verify", "stack@1"), "the folder is in the volume that every container has"


def test_the_doctor_finds_everything_in_its_place(stack: Stack) -> None:
    report = stack.kat("doctor")
    assert report["healthy"], report
    found = {check["check"]: check for check in report["checks"]}
    assert found["sandbox"]["level"] == found["broker"]["level"] == found["tables"]["level"] == "ok"
    assert found["sandbox"]["found"].startswith("bwrap runs a program")


def test_no_container_is_privileged_or_root_or_open_to_others(stack: Stack) -> None:
    for service in ("postgres", "redis", "worker"):
        for container in stack.inspect(service):
            assert container["Config"]["User"] not in ("", "0", "root"), service
            assert not container["HostConfig"]["Privileged"], service
            assert container["HostConfig"]["CapDrop"] == ["ALL"], service
            assert not container["HostConfig"]["PortBindings"], service


def test_workers_see_no_process_of_the_machine(stack: Stack) -> None:
    owners = stack("exec", "-T", "worker", "sh", "-c", "stat --format=%u /run/proc/[0-9]*; true").split()
    assert set(owners) == {"10001"}


def test_workers_are_healthy_and_end_when_they_are_told_to(stack: Stack) -> None:
    workers = stack.inspect("worker")
    assert len(workers) == WORKERS
    assert {worker["State"]["Health"]["Status"] for worker in workers} == {"healthy"}
    stack("stop", "worker")
    assert [worker["State"]["ExitCode"] for worker in stack.inspect("worker")] == [0] * WORKERS
