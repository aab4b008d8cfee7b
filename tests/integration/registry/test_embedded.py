"""The embedded Postgres, really started, killed and stopped."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kat_data.errors import RegistryError
from kat_data.registry import embedded

pytestmark = pytest.mark.integration
CODE = Path(embedded.__file__).parents[2]


@pytest.fixture(scope="module")
def stopped_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose server ran once, to be copied: initdb takes its time."""
    home = tmp_path_factory.mktemp("stopped") / "home"
    embedded.start(home)
    embedded.stop(home)
    return home


@pytest.fixture
def home(stopped_home: Path, tmp_path: Path) -> Iterator[Path]:
    home = copy(stopped_home, tmp_path / "home")
    yield home
    embedded.stop(home)


def copy(home: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", home, target], check=True)
    return target


def ask(url: str, question: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        return str(connection.execute(question).fetchone()[0])


def ask_until_it_ends(connection: "psycopg.Connection[Any]") -> None:
    while True:
        connection.execute("select 1")


def postmaster_pid(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().split()[0])


def test_starts_once_then_attaches_then_stops(home: Path) -> None:
    assert embedded.attach(home) is None
    url = embedded.start(home)
    assert embedded.start(home) == url == embedded.attach(home)
    assert ask(url, "show jit") == "off"
    assert ask(url, "select lower('ÄÖ' collate pg_c_utf8)") == "äö"
    assert embedded.stop(home) is True
    assert embedded.attach(home) is None
    assert embedded.stop(home) is False


def test_survives_the_process_that_started_it(home: Path) -> None:
    """A client that is killed leaves the server to the next one."""
    code = (
        "import sys, os, pathlib; from kat_data.registry import embedded;"
        "embedded.start(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, home], check=False).returncode == -signal.SIGKILL
    url = embedded.attach(home)
    assert url is not None
    assert embedded.start(home) == url


def test_recovers_after_the_server_is_killed(home: Path) -> None:
    url = embedded.start(home)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as number")
    os.kill(postmaster_pid(home), signal.SIGKILL)
    assert ask(embedded.start(home), "select number from kept") == "42"


def test_a_stale_pid_file_that_names_a_living_process_is_no_server(home: Path) -> None:
    embedded.start(home)
    pid_file = home / "postgres/data/postmaster.pid"
    stale = pid_file.read_text().replace(str(postmaster_pid(home)), str(os.getpid()), 1)
    assert embedded.stop(home)
    pid_file.write_text(stale)
    assert embedded.attach(home) is None
    assert embedded.stop(home) is False
    assert ask(embedded.start(home), "select 1") == "1"


def test_many_start_at_once_and_share_one_server(tmp_path: Path) -> None:
    home = tmp_path / "new"
    code = (
        "import sys, pathlib; from kat_data.registry import embedded; print(embedded.start(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, home]
    with ThreadPoolExecutor(4) as threads:
        ran = list(threads.map(lambda _: subprocess.run(command, check=True, capture_output=True, text=True), range(4)))
    assert embedded.stop(home)
    assert len({done.stdout for done in ran}) == 1


def test_a_home_with_a_long_and_odd_name(tmp_path: Path, stopped_home: Path) -> None:
    home = copy(stopped_home, tmp_path / f'a "b", $HOME `c` ü {"x" * 120}')
    try:
        url = embedded.start(home)
        assert ask(url, "select 1") == "1"
        assert "kat-socket-" in url
    finally:
        assert embedded.stop(home)
    assert not Path(str(psycopg.conninfo.conninfo_to_dict(url)["host"])).exists()


def test_works_below_closed_folders_and_leaves_them_closed(tmp_path: Path, stopped_home: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    copy(stopped_home, closed / "home")
    try:
        url = embedded.start(closed / "home")
        assert closed.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("checkpoint")
            connection.execute("alter system set log_min_messages = 'error'")
            assert connection.execute("select pg_reload_conf()").fetchone() == (True,)
            connection.execute("create database other template template0 strategy file_copy")
            connection.execute("do $$ begin perform 1; end $$")
    finally:
        embedded.stop(closed / "home")


def test_a_home_whose_cluster_cannot_start_says_why(home: Path) -> None:
    (home / "postgres/data/global/pg_control").unlink()
    with pytest.raises(RegistryError, match=r"did not start: .*its log: "):
        embedded.start(home)


def test_a_cluster_of_another_version_is_refused(home: Path) -> None:
    (home / "postgres/data/PG_VERSION").write_text("12\n")
    with pytest.raises(RegistryError, match="made by Postgres 12"):
        embedded.start(home)


def test_a_home_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot use"):
        embedded.start(tmp_path / "file")


def test_initdb_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "home/postgres/data.new/base").mkdir(parents=True)
    assert ask(embedded.start(tmp_path / "home"), "select 1") == "1"
    assert embedded.stop(tmp_path / "home")


def test_a_home_that_is_deleted_and_made_anew(home: Path) -> None:
    """The first server is still up, and may not touch the second one's files."""
    with psycopg.connect(embedded.start(home)) as old:
        pid = postmaster_pid(home)
        shutil.rmtree(home)
        with psycopg.connect(embedded.start(home), autocommit=True) as new:
            new.execute("create table kept as select 42 as number")
        os.kill(pid, signal.SIGINT)
        with pytest.raises(psycopg.OperationalError):
            ask_until_it_ends(old)
    assert postmaster_pid(home) != pid
    assert ask(embedded.start(home), "select number from kept") == "42"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_root_starts_the_server_of_another_user_as_that_user(home: Path) -> None:
    subprocess.run(["chown", "-R", "nobody", home / "postgres"], check=True)
    assert ask(embedded.start(home), "select 1") == "1"
    assert {path.owner() for path in (home / "postgres").iterdir()} == {"nobody"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as an ordinary user")
def test_works_for_an_ordinary_user() -> None:
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        subprocess.run([sys.executable, "-c", "import psycopg"], check=True, capture_output=True, **nobody)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this installation is closed to other users")
    code = (
        "import sys, pathlib; from kat_data.registry import embedded; home = pathlib.Path(sys.argv[1]);"
        "embedded.start(home); assert embedded.attach(home); print(embedded.stop(home))"
    )
    with tempfile.TemporaryDirectory(prefix="kat-user-") as folder:
        os.chown(folder, 65534, 65534)
        command = [sys.executable, "-c", code, f"{folder}/home"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CODE, **nobody)
    assert done.stdout.strip() == "True", done.stderr
