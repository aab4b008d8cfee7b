"""Pushing to the Hub and pulling from it, over real HTTP, against a server that has its API."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kat_data.errors import KatError, NotFoundError, SnapshotError, UserError
from kat_data.snapshots.places.pull import pull
from kat_data.snapshots.places.push import push
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.verify.verify import verify
from kat_data.testing.hub_server import HubServer

constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is not installed")

# huggingface_hub hands httpx files to upload in a way that httpx would rather not have.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN = "hf_" + "abcdefgh01234567"
TARGET = "hf://datasets/acme/sums"
Sums = tuple[Snapshot, Snapshot]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with HubServer(token=TOKEN) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def stored(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def held(hub: HubServer, tag: str) -> dict[str, bytes]:
    """The files of a tag, without what the Hub itself made."""
    dataset = hub.datasets["acme/sums"]
    commit = dataset.at(tag)
    assert commit is not None
    return {name: data for name, data in commit.files.items() if name != ".gitattributes"}


def test_a_snapshot_is_one_commit_with_a_tag(hub: HubServer, sums: Sums) -> None:
    snapshot = sums[0]
    moves: list[tuple[int, int]] = []
    found = push(snapshot, TARGET, private=True, moved=lambda done, total: moves.append((done, total)))
    assert found.url == f"{TARGET}@v1"
    assert held(hub, "v1") == stored(snapshot.path)
    dataset = hub.datasets["acme/sums"]
    assert [commit.message for commit in dataset.commits] == ["initial commit", "sums@1"]
    assert dataset.private
    assert set(found.uploaded) == stored(snapshot.path).keys()
    assert moves[-1][0] == moves[-1][1] == found.bytes - len((snapshot.path / "manifest.json").read_bytes())


def test_what_is_there_is_not_sent_again(hub: HubServer, sums: Sums) -> None:
    snapshot = sums[0]
    push(snapshot, TARGET)
    before = dict(hub.requests)
    again = push(snapshot, TARGET)
    assert again.uploaded == ()
    assert {place: hub.requests[place] for place in ("create", "preupload", "upload", "commit", "tag")} == {
        place: before[place] for place in ("create", "preupload", "upload", "commit", "tag")
    }


def test_a_later_version_takes_the_place_of_the_earlier_and_both_have_tags(hub: HubServer, sums: Sums) -> None:
    first, second = sums
    later = [name for name in stored(first.path) if name not in stored(second.path)]
    push(first, TARGET)
    push(second, TARGET)
    assert held(hub, "v1") == stored(first.path)
    assert held(hub, "v2") == held(hub, "main") == stored(second.path)
    assert push(first, TARGET).uploaded == ()
    assert not set(later) & held(hub, "v2").keys()


def test_versions_are_pushed_in_their_order(hub: HubServer, sums: Sums) -> None:
    first, second = sums
    push(second, TARGET)
    with pytest.raises(SnapshotError, match="holds sums@2 already: versions are pushed in their order"):
        push(first, TARGET)


def test_a_dataset_of_something_else_is_left_alone(hub: HubServer, sums: Sums, build: Callable[..., Snapshot]) -> None:
    push(sums[0], TARGET)
    with pytest.raises(SnapshotError, match="is of sums: push other to a place of its own"):
        push(build(name="other"), TARGET)
    with pytest.raises(SnapshotError, match="holds sums@1: push other to a place of its own"):
        push(build(name="other", first=2), TARGET)
    dataset = hub.datasets["acme/sums"]
    dataset.tags.clear()
    dataset.commit("by hand", {".gitattributes": b"", "README.md": b"", "data/train.csv": b"a,b"})
    with pytest.raises(SnapshotError, match=r"holds other files \(data/train.csv\)"):
        push(sums[0], TARGET)


def test_another_content_of_the_same_version_is_refused(hub: HubServer, sums: Sums, stranger: Snapshot) -> None:
    push(sums[0], TARGET)
    with pytest.raises(SnapshotError, match="holds another sums@1, with the content hash"):
        push(stranger, TARGET)


def test_a_commit_whose_tag_was_lost_gets_it(hub: HubServer, sums: Sums) -> None:
    snapshot = sums[0]
    hub.fail_at("tag", 500)
    with pytest.raises(SnapshotError, match="the Hub answers 500 for acme/sums: what has arrived stays, so push again"):
        push(snapshot, TARGET)
    found = push(snapshot, TARGET)
    assert found.uploaded == ()
    assert held(hub, "v1") == stored(snapshot.path)
    assert len(hub.datasets["acme/sums"].commits) == 2


def test_a_server_fault_shows_nothing_and_the_next_push_goes_on(hub: HubServer, sums: Sums) -> None:
    snapshot = sums[0]
    hub.fail_at("commit", 500)
    with pytest.raises(SnapshotError, match="answers 500"):
        push(snapshot, TARGET)
    assert list(hub.datasets["acme/sums"].head.files) == [".gitattributes"]
    sent = hub.requests["upload"]
    push(snapshot, TARGET)
    assert hub.requests["upload"] == sent
    assert held(hub, "v1") == stored(snapshot.path)


def test_an_upload_that_is_refused_is_one_line(hub: HubServer, sums: Sums) -> None:
    hub.fail_at("upload", 403)
    with pytest.raises(UserError, match="refuses the token in HF_TOKEN for acme/sums: take one that may write"):
        push(sums[0], TARGET)


def test_someone_else_wrote_at_the_same_time(hub: HubServer, sums: Sums) -> None:
    hub.fail_at("commit", 412)
    with pytest.raises(SnapshotError, match="someone else wrote to acme/sums at the same time: push again"):
        push(sums[0], TARGET)


@pytest.mark.parametrize(
    ("token", "line"), [("hf_wrong0123456789abc", "refuses the token in HF_TOKEN"), ("", "wants a token in HF_TOKEN")]
)
def test_a_wrong_token_is_one_line_without_it(
    hub: HubServer, sums: Sums, monkeypatch: pytest.MonkeyPatch, token: str, line: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=f"{line} for acme/sums") as raised:
        push(sums[0], TARGET)
    assert "\n" not in str(raised.value)
    assert "hf_" not in str(raised.value)
    assert hub.datasets == {}


def test_a_private_push_to_a_public_dataset_is_refused(hub: HubServer, sums: Sums) -> None:
    push(sums[0], TARGET)
    with pytest.raises(UserError, match="acme/sums is public"):
        push(sums[1], TARGET, private=True)


def test_a_file_that_the_hub_lost_is_found(hub: HubServer, sums: Sums, tmp_path: Path) -> None:
    snapshot = sums[0]
    push(snapshot, TARGET)
    files = hub.datasets["acme/sums"].head.files
    assert isinstance(files, dict)
    for name in ("data/train-00000.parquet", "README.md"):
        kept, files[name] = files[name], files[name][:-1] + b"?"
        with pytest.raises(SnapshotError, match=f"{TARGET}@v1 is damaged: {name} is missing or not what"):
            push(snapshot, TARGET)
        with pytest.raises(SnapshotError, match=f"the sha256 of {name} is not the manifest's"):
            pull(f"{TARGET}@v1", tmp_path)
        files[name] = kept


@pytest.mark.parametrize("target", ["hf://acme/sums", "hf://datasets/acme", "hf://datasets/acme/sums/data"])
def test_a_target_that_names_no_dataset(sums: Sums, target: str) -> None:
    with pytest.raises(UserError, match="write hf://datasets/ORG/NAME"):
        push(sums[0], target)


def test_what_was_pushed_is_pulled_whole(
    hub: HubServer, sums: Sums, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sums
    for snapshot in (first, second):
        push(snapshot, TARGET, private=True)
    for source, snapshot in ((f"{TARGET}@v1", first), (TARGET, second)):
        pulled = pull(source, tmp_path / "pulled")
        assert pulled.path == tmp_path / "pulled" / "sums" / str(snapshot.manifest.unhashed.version)
        assert stored(pulled.path) == stored(snapshot.path)
        assert verify(pulled.path).ok
    with pytest.raises(NotFoundError):
        pull(f"{TARGET}@v9", tmp_path / "pulled")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(NotFoundError, match=r"there is no manifest.json that HF_TOKEN may read"):
        pull(TARGET, tmp_path / "pulled")


KILLED = """
import sys
from pathlib import Path
from kat_data.snapshots.places.push import push
from kat_data.snapshots.read import open_snapshot
print(push(open_snapshot(Path(sys.argv[1])), sys.argv[2]).url)
"""


@pytest.mark.parametrize("place", ["upload", "commit", "tag"])
def test_a_killed_push_shows_nothing_and_the_next_one_goes_on(hub: HubServer, sums: Sums, place: str) -> None:
    snapshot = sums[0]
    reached, leave = hub.hold_at(place)  # type: ignore[arg-type]
    environ = os.environ | {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(snapshot.path), TARGET], env=environ) as process:
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
    assert "v1" not in hub.datasets["acme/sums"].tags
    leave.set()
    assert push(snapshot, TARGET).url == f"{TARGET}@v1"
    assert held(hub, "v1") == stored(snapshot.path)


def test_every_refusal_is_a_line(hub: HubServer, sums: Sums) -> None:
    for place in ("info", "preupload", "batch", "commit", "tree"):
        hub.fail_at(place, 400)  # type: ignore[arg-type]
        with pytest.raises(KatError) as raised:
            push(sums[0], TARGET)
        assert "\n" not in str(raised.value)
