"""Datasets of the Hugging Face Hub: one commit and one tag for each version, through huggingface_hub."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kat_data.errors import KatError, NotFoundError, SnapshotError, UserError
from kat_data.hashing import sha256
from kat_data.redaction import hide, redact
from kat_data.snapshots.manifest import CARD, MANIFEST, Manifest, from_bytes
from kat_data.snapshots.places.parts import Part, parts
from kat_data.snapshots.places.push import Moved, Pushed, Tally, check_same, pushed, seal_of
from kat_data.snapshots.read import Snapshot

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_TARGET = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)")
_THEIRS = {".gitattributes", CARD}
"""What a dataset that holds nothing may have: the Hub made them."""


def access() -> dict[str, Any]:
    """Return the endpoint and the token that the environment names: `HF_ENDPOINT` and `HF_TOKEN`, no stored one."""
    token = os.environ.get("HF_TOKEN") or None
    hide(token)
    return {"endpoint": os.environ.get("HF_ENDPOINT") or None, "token": token or False}


def push_to_hub(snapshot: Snapshot, target: str, *, private: bool, moved: Moved | None) -> Pushed:
    """Commit a snapshot to the dataset that `target` names, made where it is missing, and tag it v1, v2 and so on."""
    match = _TARGET.fullmatch(target.rstrip("/"))
    if match is None:
        raise UserError(f"{target} names no dataset of the Hub: write hf://datasets/ORG/NAME")
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise UserError("hf:// needs more than the base install: pip install 'kat-data[hub]'") from error
    disable_progress_bars()
    with _plain_faults(match["repo"]):
        return _Dataset(HfApi(**access()), match["repo"]).push(snapshot, private=private, moved=moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    size: int
    sha256: str | None


class _Dataset:
    """One dataset of the Hub."""

    def __init__(self, api: "HfApi", repo: str) -> None:
        self._api = api
        self._repo: dict[str, str] = {"repo_id": repo, "repo_type": "dataset"}
        self._name = repo

    def push(self, snapshot: Snapshot, *, private: bool, moved: Moved | None) -> Pushed:
        self._open(private=private)
        tag = f"v{snapshot.manifest.unhashed.version}"
        url = f"hf://datasets/{self._name}@{tag}"
        refs = self._api.list_repo_refs(**self._repo)
        tagged = next((ref.target_commit for ref in refs.tags if ref.name == tag), None)
        head = next((ref.target_commit for ref in refs.branches if ref.name == "main"), None)
        uploaded: list[str] = []
        commit = tagged
        if commit is None:
            commit, uploaded = self._commit(snapshot, head, moved)
        self._check(snapshot, commit, url)
        if tagged is None:
            self._api.create_tag(**self._repo, tag=tag, revision=commit, exist_ok=True)
        return pushed(snapshot, url, uploaded)

    def _open(self, *, private: bool) -> None:
        """Make the dataset where it is missing; refuse a public one where a private one is wanted."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            found = self._api.dataset_info(self._name)
        except RepositoryNotFoundError:
            self._api.create_repo(**self._repo, private=private, exist_ok=True)
            return
        if private and not found.private:
            raise UserError(f"{self._name} is public: make it private on the Hub, or leave --private out")

    def _commit(self, snapshot: Snapshot, head: str | None, moved: Moved | None) -> tuple[str, list[str]]:
        """Return the commit that holds the snapshot, with the names of the files that were sent for it."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        there = self._files(head) if head else {}
        theirs = self._manifest(head) if head and MANIFEST in there else None
        self._refuse_strangers(snapshot, theirs, there)
        wanted = [*parts(snapshot.manifest), seal_of(snapshot)]
        if theirs is not None and theirs.hashed.content_hash == snapshot.manifest.hashed.content_hash and head:
            return head, []  # the commit was made, and the tag was not
        additions = [
            CommitOperationAdd(path_in_repo=part.name, path_or_fileobj=str(snapshot.path / part.name))
            for part in wanted
        ]
        tally = Tally(snapshot, moved)
        for part, addition in zip(wanted, additions, strict=True):
            self._api.preupload_lfs_files(self._name, [addition], repo_type="dataset")
            if part.name != MANIFEST:
                tally.add(part)
        stale = {part.name for part in parts(theirs)} - {part.name for part in wanted} if theirs else set()
        deletions = [CommitOperationDelete(path_in_repo=name) for name in sorted(stale & there.keys())]
        made = self._api.create_commit(
            **self._repo,
            operations=[*additions, *deletions],
            commit_message=snapshot.manifest.label,
            parent_commit=head,
        )
        return made.oid, [part.name for part in wanted]

    def _refuse_strangers(self, snapshot: Snapshot, theirs: Manifest | None, there: dict[str, _File]) -> None:
        """Raise where the dataset is not one of this snapshot's versions, the newest of which its main branch holds."""
        mine = snapshot.manifest
        if theirs is None:
            if strange := sorted(there.keys() - _THEIRS):
                raise SnapshotError(f"{self._name} holds other files ({strange[0]}): push to a place of its own")
            return
        if theirs.hashed.name != mine.hashed.name:
            raise SnapshotError(f"{self._name} holds {theirs.label}: push {mine.hashed.name} to a place of its own")
        if theirs.unhashed.version > mine.unhashed.version:
            raise SnapshotError(f"{self._name} holds {theirs.label} already: versions are pushed in their order")

    def _check(self, snapshot: Snapshot, commit: str, url: str) -> None:
        """Raise `SnapshotError` unless the commit holds the snapshot, by sizes and checksums."""
        there = self._files(commit)
        theirs = self._manifest(commit) if MANIFEST in there else None
        if theirs is None:
            raise SnapshotError(f"{url} holds no snapshot: there is no {MANIFEST}")
        check_same(snapshot, theirs, url)
        for part in parts(theirs):
            if not self._holds(part, there.get(part.name), commit):
                raise SnapshotError(f"{url} is damaged: {part.name} is missing or not what the manifest says")

    def _holds(self, part: Part, found: _File | None, commit: str) -> bool:
        if found is None or (part.size is not None and found.size != part.size):
            return False
        if found.sha256 is not None:
            return found.sha256 == part.sha256
        return sha256(self._read(part.name, commit)).hex() == part.sha256  # a small one, which git keeps by itself

    def _files(self, revision: str) -> dict[str, _File]:
        from huggingface_hub.hf_api import RepoFile

        tree = self._api.list_repo_tree(**self._repo, revision=revision, recursive=True)
        return {
            entry.path: _File(size=entry.size, sha256=entry.lfs.sha256 if entry.lfs else None)
            for entry in tree
            if isinstance(entry, RepoFile)
        }

    def _manifest(self, revision: str) -> Manifest:
        return from_bytes(self._read(MANIFEST, revision))

    def _read(self, name: str, revision: str) -> bytes:
        from huggingface_hub import HfFileSystem

        files = HfFileSystem(**access(), skip_instance_cache=True)
        found: bytes = files.cat_file(f"datasets/{self._name}@{revision}/{name}")
        return found


@contextmanager
def _plain_faults(repo: str) -> Iterator[None]:
    """Turn what the Hub says into one line that says what to do."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except KatError:
        raise
    except OfflineModeIsEnabled as error:
        raise UserError("HF_HUB_OFFLINE is set, so that the Hub cannot be reached: unset it") from error
    except (HfHubHTTPError, httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        refused = _refusal(error, HfHubHTTPError)
        if refused is not None:
            raise _said_by_hub(repo, refused) from error
        said = redact(" ".join(f"{error} {error.__cause__ or ''}".split())[:300])
        raise SnapshotError(
            f"the Hub cannot be used for {repo}: {said}; what has arrived stays, so push again"
        ) from error


def _refusal(error: BaseException, kind: type[Any]) -> Any:
    """Return the Hub's refusal, which uploads wrap into an error of their own."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__
    return seen


def _said_by_hub(repo: str, refused: Any) -> KatError:
    status = refused.response.status_code
    said = redact(str(refused.server_message or "").strip()[:200])
    told = f" ({said})" if said else ""
    if status in {401, 403}:
        what = "refuses the token in HF_TOKEN" if os.environ.get("HF_TOKEN") else "wants a token in HF_TOKEN"
        return UserError(f"the Hub {what} for {repo}: take one that may write there{told}")
    if status == 404:
        return NotFoundError(f"the Hub knows nothing of {repo}{told}")
    if status in {409, 412}:
        return SnapshotError(f"someone else wrote to {repo} at the same time: push again{told}")
    return SnapshotError(f"the Hub answers {status} for {repo}: what has arrived stays, so push again{told}")
