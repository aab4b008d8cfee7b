"""A folder in a file store, through fsspec: S3, Google Cloud, Azure, the Hub, local disks, HTTP for reading."""

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kat_data.errors import KatError, NotFoundError, SnapshotError, UserError
from kat_data.redaction import redact
from kat_data.snapshots.folder import sync
from kat_data.snapshots.places.parts import Part

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
_EXTRAS |= {"hf": "hub"}
_WHOLE_OR_NOTHING = {*_EXTRAS, "memory"}  # stores whose objects appear when they are complete
_BLOCK = 8 << 20


class Bucket:
    """One folder of a store; `url` is how people name it.

    Faults of the store are `SnapshotError`s of one line, and `UserError`s where it does not let us in.
    """

    def __init__(self, fs: "AbstractFileSystem", path: str, url: str) -> None:
        self._fs = fs
        self._path = path.rstrip("/")
        self.url = url.rstrip("/")

    @classmethod
    def open(cls, url: str, **options: Any) -> "Bucket":
        """Open a folder by its URL; raises `UserError`, which says what to install, where nothing here can."""
        import fsspec

        if not url:
            raise UserError("an empty name is no place: give a folder, or a URL as s3://bucket/folder")
        scheme = url.partition("://")[0] if "://" in url else "file"
        url = url if "://" in url else Path(url).resolve().as_uri()
        try:
            fs, path = fsspec.url_to_fs(url, **options)
        except ImportError as error:
            extra = f"pip install 'kat-data[{_EXTRAS[scheme]}]'" if scheme in _EXTRAS else str(error)
            raise UserError(f"{scheme}:// needs more than the base install: {extra}") from error
        except Exception as error:
            raise UserError(f"{url} is no place that can be reached: {_line(error)}") from error
        return cls(fs, path, url)

    def at(self, *names: object) -> "Bucket":
        """Return the folder inside this one."""
        below = "/".join(map(str, names))
        return Bucket(self._fs, f"{self._path}/{below}", f"{self.url}/{below}")

    def read(self, name: str) -> bytes | None:
        """Return a small file's bytes; none where there is no such file."""
        with _plain_faults(self.url):
            try:
                found: bytes = self._fs.cat_file(self._name(name))
            except (FileNotFoundError, NotADirectoryError):
                return None
            return found

    def fetch(self, name: str, file: Path) -> None:
        """Copy one file of the store here."""
        with _plain_faults(self.url):
            try:
                self._fs.get_file(self._name(name), str(file))
            except FileNotFoundError as error:
                raise SnapshotError(f"{self.url} is not whole: {name} is missing") from error

    def put(self, file: Path, name: str) -> None:
        """Copy one file there; it appears when it is complete, whatever happens on the way."""
        path = self._name(name)
        with _plain_faults(self.url):
            if self._protocols & _WHOLE_OR_NOTHING:
                self._fs.put_file(str(file), path)
                return
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(file), f"{path}.part")
            if "file" in self._protocols:
                _settle(Path(f"{path}.part"))
            self._fs.mv(f"{path}.part", path)
            if "file" in self._protocols:
                sync(Path(path).parent)

    def wanting(self, wanted: Iterable[Part], local: Path) -> list[Part]:
        """Return the parts that are missing there or differ, by the checksums that the store tells, else read back.

        `local` is a folder with the same files: a store's own kind of checksum is compared with theirs.
        """
        with _plain_faults(self.url):
            found = self._listed()
            return [part for part in wanted if not self._holds(part, found, local)]

    @property
    def _protocols(self) -> set[str]:
        protocol = self._fs.protocol
        return {protocol} if isinstance(protocol, str) else set(protocol)

    def _name(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _listed(self) -> Mapping[str, Mapping[str, Any]]:
        self._fs.invalidate_cache()
        try:
            found: Mapping[str, Mapping[str, Any]] = self._fs.find(self._path, detail=True)
        except FileNotFoundError:
            return {}
        return {path.removeprefix(f"{self._path}/"): info for path, info in found.items()}

    def _holds(self, part: Part, found: Mapping[str, Mapping[str, Any]], local: Path) -> bool:
        if (info := found.get(part.name)) is None or (part.size is not None and info["size"] != part.size):
            return False
        told = told_md5(info)
        if told and (local / part.name).is_file() and told == _digest("md5", (local / part.name).open("rb")):
            return True
        return _digest("sha256", self._fs.open(self._name(part.name), "rb")) == part.sha256


def told_md5(info: Mapping[str, Any]) -> str | None:
    """Return the MD5 in hex that a store tells of a file, if it does.

    S3's ETag is one of objects that came in one piece and are not encrypted with a key of KMS.
    """
    settings = info.get("content_settings") or {}
    if encoded := info.get("md5Hash") or settings.get("content_md5"):
        raw = base64.b64decode(encoded) if isinstance(encoded, str) else bytes(encoded)
        return raw.hex()
    etag = str(info.get("ETag") or "").strip('"')
    return etag if len(etag) == 32 else None


def _digest(kind: str, file: Any) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    with file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _settle(file: Path) -> None:
    """Make sure that a copied file survives a power cut."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _plain_faults(url: str) -> Iterator[None]:
    """Turn whatever a store raises into one line; every store has exceptions of its own."""
    try:
        yield
    except KatError:
        raise
    except PermissionError as error:
        raise UserError(
            f"{url} does not let us in: see to the credentials in the environment ({_line(error)})"
        ) from error
    except FileNotFoundError as error:
        raise NotFoundError(f"{url} is not there: {_line(error)}") from error
    except Exception as error:
        raise SnapshotError(f"{url} failed: {_line(error)}; what has arrived stays, so try again") from error


def _line(error: Exception) -> str:
    said = " ".join(str(error).split())
    return redact(said[:300] or type(error).__name__)
