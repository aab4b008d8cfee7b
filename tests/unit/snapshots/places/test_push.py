"""Pushing to stores and pulling: the manifest goes last, what is there is not sent again, every byte is checked."""

import base64
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest
from click.testing import CliRunner
from fsspec.implementations.memory import MemoryFileSystem

from kat_data.cli.snapshots import snapshots
from kat_data.errors import NotFoundError, SnapshotError, UserError
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.manifest import MANIFEST, from_bytes
from kat_data.snapshots.places import bucket
from kat_data.snapshots.places.bucket import Bucket, told_md5
from kat_data.snapshots.places.parts import parts
from kat_data.snapshots.places.pull import pull
from kat_data.snapshots.places.push import push
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import Row
from kat_data.snapshots.verify.verify import verify

ROOT = "memory://bucket/sets"
PLACE = "/bucket/sets/demo/1"
Make = Callable[..., SnapshotSpec]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], make_spec: Make) -> Snapshot:
    """One that tests leave as it is."""
    root = tmp_path_factory.mktemp("root")
    return open_snapshot(write_snapshot(root, make_spec(), {"train": rows}, shard_bytes=20_000).path)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], make_spec: Make) -> Snapshot:
    """The same name and version, and other rows."""
    return open_snapshot(write_snapshot(tmp_path_factory.mktemp("other"), make_spec(), {"train": rows[:9]}).path)


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def stored(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def held(files: MemoryFileSystem) -> dict[str, bytes]:
    return {path.removeprefix(f"{PLACE}/"): files.cat_file(path) for path in files.find(PLACE)}


def test_a_push_copies_every_file_and_the_manifest_last(
    memory: MemoryFileSystem, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    put = MemoryFileSystem.put_file
    monkeypatch.setattr(
        MemoryFileSystem,
        "put_file",
        lambda self, here, there, **kw: (order.append(there), put(self, here, there, **kw)),
    )
    moves: list[tuple[int, int]] = []
    found = push(snapshot, ROOT, moved=lambda done, total: moves.append((done, total)))
    assert found.url == f"{ROOT}/demo/1"
    assert held(memory) == stored(snapshot.path)
    assert order[-1].endswith(f"/{MANIFEST}")
    assert (found.files, found.bytes) == (len(order), sum(map(len, stored(snapshot.path).values())))
    assert moves[-1][0] == moves[-1][1]


def test_what_is_there_is_not_sent_again(memory: MemoryFileSystem, snapshot: Snapshot) -> None:
    assert push(snapshot, ROOT).uploaded
    made = {path: memory.created(path) for path in memory.find(PLACE)}
    assert push(snapshot, ROOT).uploaded == ()
    assert {path: memory.created(path) for path in memory.find(PLACE)} == made


@pytest.mark.parametrize("nth", [0, 1, 3])
def test_a_push_that_breaks_off_shows_no_snapshot_and_the_next_one_sends_the_rest(
    memory: MemoryFileSystem, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nth: int
) -> None:
    put = MemoryFileSystem.put_file
    sent: list[str] = []

    def failing(self: MemoryFileSystem, here: str, there: str, **options: Any) -> None:
        if len(sent) == nth:
            raise RuntimeError("503 Slow Down\nplease")
        sent.append(there)
        put(self, here, there, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", failing)
        with pytest.raises(SnapshotError, match=f"{ROOT}/demo/1 failed: 503 Slow Down please; what has arrived stays"):
            push(snapshot, ROOT)
    assert MANIFEST not in held(memory)
    with pytest.raises(NotFoundError, match="holds no snapshot"):
        pull(f"{ROOT}/demo/1", tmp_path / "pulled")
    found = push(snapshot, ROOT)
    assert held(memory) == stored(snapshot.path)
    assert len(found.uploaded) == found.files - nth


def test_a_file_that_was_cut_or_changed_there_is_sent_again(memory: MemoryFileSystem, snapshot: Snapshot) -> None:
    push(snapshot, ROOT)
    names = [part.name for part in parts(snapshot.manifest)][:2]
    whole = held(memory)
    memory.pipe_file(f"{PLACE}/{names[0]}", whole[names[0]][:-1])
    memory.pipe_file(f"{PLACE}/{names[1]}", b"?" + whole[names[1]][1:])
    assert push(snapshot, ROOT).uploaded == (*names, MANIFEST)
    assert held(memory) == whole


def test_a_store_that_does_not_keep_what_it_was_sent_never_shows_it(
    memory: MemoryFileSystem, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(self: MemoryFileSystem, here: str, there: str, **options: Any) -> None:
        self.pipe_file(there, Path(here).read_bytes().replace(b"PAR1", b"PAR2"))

    monkeypatch.setattr(MemoryFileSystem, "put_file", forgetful)
    with pytest.raises(SnapshotError, match=r"did not keep data/train-00000.parquet as it was sent: push again"):
        push(snapshot, ROOT)
    assert MANIFEST not in held(memory)


def test_a_file_on_a_disk_has_its_name_there_before_the_next_one_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"a")
    listed: list[list[str]] = []
    monkeypatch.setattr(bucket, "sync", lambda folder: listed.append(sorted(p.name for p in folder.iterdir())))
    Bucket.open(f"file://{tmp_path}/there").put(tmp_path / "a", "b")
    assert listed == [["b"]]


def test_versions_never_change(memory: MemoryFileSystem, snapshot: Snapshot, stranger: Snapshot) -> None:
    push(snapshot, ROOT)
    with pytest.raises(SnapshotError, match=f"{ROOT}/demo/1 holds another demo@1"):
        push(stranger, ROOT)
    assert held(memory) == stored(snapshot.path)


def test_a_damaged_snapshot_is_not_pushed(memory: MemoryFileSystem, snapshot: Snapshot, tmp_path: Path) -> None:
    damaged = open_snapshot(shutil.copytree(snapshot.path, tmp_path / "damaged"))
    shard = damaged.path / snapshot.manifest.hashed.shards[0].path
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(SnapshotError, match="is damaged and is not pushed"):
        push(damaged, ROOT)
    assert memory.find("/") == []


@pytest.mark.parametrize("as_url", [True, False])
def test_a_folder_is_a_store_too(snapshot: Snapshot, tmp_path: Path, as_url: bool) -> None:
    target = tmp_path / "share"
    found = push(snapshot, f"file://{target}" if as_url else str(target))
    assert stored(target / "demo" / "1") == stored(snapshot.path)
    assert verify(target / "demo" / "1").ok
    assert push(snapshot, str(target)).uploaded == ()
    (target / "demo" / "1" / MANIFEST).unlink()
    assert push(snapshot, str(target)).uploaded == (MANIFEST,)
    pulled = pull(found.url, tmp_path / "pulled")
    assert stored(pulled.path) == stored(snapshot.path)


def test_in_a_folder_no_half_file_has_its_name(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's files grow where they stand, an object store's appear when they are complete."""
    from fsspec.implementations.local import LocalFileSystem

    def half(self: LocalFileSystem, here: str, there: str, **options: Any) -> None:
        data = Path(here).read_bytes()
        Path(there).write_bytes(data[: len(data) // 2])
        if here.endswith(MANIFEST):
            raise OSError("the power is gone")
        Path(there).write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "put_file", half)
        with pytest.raises(SnapshotError, match="the power is gone"):
            push(snapshot, str(tmp_path / "share"))
    place = tmp_path / "share" / "demo" / "1"
    assert not (place / MANIFEST).exists()
    push(snapshot, str(tmp_path / "share"))
    assert stored(place) == stored(snapshot.path)


def test_pulling_checks_every_byte(memory: MemoryFileSystem, snapshot: Snapshot, tmp_path: Path) -> None:
    push(snapshot, ROOT)
    for name, data in held(memory).items():
        memory.pipe_file(f"{PLACE}/{name}", data[:-2] + b"?" + data[-1:])
        with pytest.raises(
            SnapshotError, match=rf"{ROOT}/demo/1.*(is damaged: the sha256 of {name}|its seal|cannot be)"
        ):
            pull(f"{ROOT}/demo/1", tmp_path / "pulled")
        memory.pipe_file(f"{PLACE}/{name}", data)
    name = snapshot.manifest.hashed.shards[0].path
    memory.rm_file(f"{PLACE}/{name}")
    with pytest.raises(SnapshotError, match=f"is not whole: {name} is missing"):
        pull(f"{ROOT}/demo/1", tmp_path / "pulled")
    assert list((tmp_path / "pulled").iterdir()) == []


def test_pulling_twice_fetches_once_and_another_snapshot_is_refused(
    memory: MemoryFileSystem, snapshot: Snapshot, stranger: Snapshot, tmp_path: Path
) -> None:
    push(snapshot, ROOT)
    seen: list[int] = []
    first = pull(f"{ROOT}/demo/1", tmp_path, moved=lambda done, total: seen.append(done))
    assert seen[-1] == sum(shard.bytes for shard in snapshot.manifest.hashed.shards)
    assert not first.existed
    assert verify(first.path).ok
    assert pull(f"{ROOT}/demo/1", tmp_path).existed
    push(stranger, "memory://another")
    with pytest.raises(SnapshotError, match="is another snapshot of that version: pull into another --root"):
        pull("memory://another/demo/1", tmp_path)


def test_a_manifest_cannot_lead_out_of_the_folder(memory: MemoryFileSystem, snapshot: Snapshot, tmp_path: Path) -> None:
    """Who writes the manifest writes its seal, too."""
    from dataclasses import replace

    manifest = snapshot.manifest
    first, *others = manifest.hashed.shards
    for path in ("../../stolen", "/etc/stolen", "data/../../stolen-00000.parquet", "manifest.json"):
        hashed = replace(manifest.hashed, shards=(replace(first, path=path), *others))
        memory.pipe_file(f"{PLACE}/{MANIFEST}", replace(manifest, hashed=hashed).to_bytes())
        with pytest.raises(SnapshotError, match="no snapshot of ours has such a file"):
            pull(f"{ROOT}/demo/1", tmp_path / "pulled")
    for hashed in (replace(manifest.hashed, name="../up"),):
        memory.pipe_file(f"{PLACE}/{MANIFEST}", replace(manifest, hashed=hashed).to_bytes())
        with pytest.raises(SnapshotError, match="cannot be a name"):
            pull(f"{ROOT}/demo/1", tmp_path / "pulled")


def test_a_snapshot_is_pulled_over_http(snapshot: Snapshot, tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(snapshot.path))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            pulled = pull(url, tmp_path / "pulled")
            with pytest.raises(NotFoundError, match="holds no snapshot"):
                pull(f"{url}/nothing", tmp_path / "pulled")
        finally:
            server.shutdown()
    assert stored(pulled.path) == stored(snapshot.path)


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("nowhere://x", "nowhere://x is no place that can be reached: Protocol not known: nowhere"),
        ("hf://sums", "write hf://datasets/ORG/NAME"),
    ],
)
def test_a_target_that_is_none(snapshot: Snapshot, target: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        push(snapshot, target)


def test_private_is_for_the_hub(memory: MemoryFileSystem, snapshot: Snapshot) -> None:
    with pytest.raises(UserError, match="--private is for the Hub alone"):
        push(snapshot, ROOT, private=True)


def test_a_store_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str, **_: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(UserError, match=r"s3:// needs more than the base install: pip install 'kat-data\[s3\]'"):
        Bucket.open("s3://bucket/x")


@pytest.mark.parametrize(
    ("info", "md5"),
    [
        ({"ETag": '"900150983cd24fb0d6963f7d28e17f72"'}, "900150983cd24fb0d6963f7d28e17f72"),
        ({"ETag": '"900150983cd24fb0d6963f7d28e17f72-3"'}, None),
        ({"md5Hash": base64.b64encode(bytes(range(16))).decode()}, bytes(range(16)).hex()),
        ({"content_settings": {"content_md5": bytearray(range(16))}}, bytes(range(16)).hex()),
        ({"content_settings": {"content_md5": None}}, None),
        ({"size": 3}, None),
    ],
)
def test_what_stores_tell_of_their_files(info: dict[str, Any], md5: str | None) -> None:
    assert told_md5(info) == md5


def test_the_commands_say_where_it_went(memory: MemoryFileSystem, snapshot: Snapshot, tmp_path: Path) -> None:
    def run(*command: str) -> Any:
        return CliRunner().invoke(snapshots, [*command], catch_exceptions=False)

    root = str(snapshot.path.parents[1])
    pushed = run("push", "demo", ROOT, "--root", root)
    assert pushed.stdout.strip() == f"{ROOT}/demo/1"
    told = orjson.loads(run("push", "demo@1", ROOT, "--root", root, "--json").stdout)
    assert (told["url"], told["label"], told["uploaded"]) == (f"{ROOT}/demo/1", "demo@1", [])
    pulled = orjson.loads(run("pull", f"{ROOT}/demo/1", "--root", str(tmp_path / "pulled"), "--json").stdout)
    assert from_bytes(Path(pulled["path"], MANIFEST).read_bytes()).hashed.content_hash == pulled["content_hash"]
    assert "nothing was fetched" in run("pull", f"{ROOT}/demo/1", "--root", str(tmp_path / "pulled")).stdout
