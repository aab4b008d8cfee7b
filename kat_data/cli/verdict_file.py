"""Verdicts in JSON Lines: in the order of their input, taken up again where they end or where a line was changed."""

import fcntl
import json
import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson

from kat_data.errors import InputError, UserError, VerifierFault
from kat_data.hashing import sha256

Judge = Callable[[dict[str, Any]], dict[str, Any]]  # a result without `seconds` gets the time that it took
Line = tuple[int, bytes]

INFRA_ERROR = "infra_error"
_AHEAD = 4  # lines under way for each thread
_FAULTS = 5


class VerdictFile:
    """The verdicts of one input file: those that are there already, and room for the rest.

    `word` names the field that is counted, `how` whatever else decides on verdicts. A verdict stays as long as its line
    does; a line that was changed since is judged again. Entering it raises `InputError` where the file holds verdicts
    on another file's lines, or made in another way.
    """

    def __init__(self, in_: Path, out: Path, word: str, how: str = "") -> None:
        if not out.parent.is_dir():
            raise InputError(f"There is no folder {out.parent} for {out.name}: make it first.")
        if out.exists() and out.samefile(in_):
            raise InputError("IN and OUT are the same file: name another for the verdicts.")
        self._in, self._out, self._word, self._how = in_, out, word, how
        self.counts: Counter[str] = Counter()
        self.lines = sum(1 for _ in _lines(in_))

    def __enter__(self) -> Self:
        self._file = _locked(self._out)
        try:
            self._take_up()
        except BaseException:
            self._file.close()
            raise
        self._awaited = self._open_lines()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._mended:
                self._mend()
        finally:
            self._file.close()

    @property
    def done(self) -> int:
        """How many lines need no verdict any more."""
        return self.counts.total()

    def rest(self) -> Iterator[Line]:
        """Yield the lines without a verdict, each with its number, then the changed and those the sandbox broke.

        In this order, because programs that break every sandbox must not keep the others from their verdicts.
        """
        return (line for _, line in self._open_lines())

    def write(self, row: dict[str, Any]) -> None:
        """Keep the verdict on the next line of `rest`, with a mark of what it was made from."""
        place, (_, line) = next(self._awaited)
        row["input"] = self._mark(line)
        self._count(row)
        if place in self._again:
            self._mended[place] = row
        else:
            self._file.write(orjson.dumps(row) + b"\n")
            self._file.flush()

    def _open_lines(self) -> Iterator[tuple[int, Line]]:
        yield from islice(enumerate(_lines(self._in)), self._kept, None)
        yield from (found for found in enumerate(_lines(self._in)) if found[0] in self._again)

    def _mark(self, line: bytes) -> str:
        return sha256(self._how.encode() + line.strip()).hex()[:16]

    def _count(self, row: dict[str, Any]) -> None:
        self.counts["error" if "error" in row else str(row[self._word])] += 1

    def _take_up(self) -> None:
        """Keep the verdicts from an earlier call, and note which of them have to be tried again."""
        self._kept = size = unchanged = stale = 0
        self._again: set[int] = set()
        self._mended: dict[int, dict[str, Any]] = {}
        with self._out.open("rb") as out:
            for (number, given), written in zip(_lines(self._in), out, strict=False):
                row = _object(written)
                if row is None and not written.endswith(b"\n") and written.startswith(b'{"id":'):
                    break  # cut off in the middle
                if row is None or not _may_be_on(row, given, number):
                    raise InputError(f"{self._out} holds no verdicts on {self._in}: name another file.")
                is_unchanged = row["input"] == self._mark(given)
                unchanged += is_unchanged
                stale += not is_unchanged and "error" not in row
                if not is_unchanged or row.get(self._word) == INFRA_ERROR:
                    self._again.add(self._kept)
                else:
                    self._count(row)
                self._kept, size = self._kept + 1, size + len(written)
            else:
                if out.read(1):
                    raise InputError(f"{self._out} holds more verdicts than {self._in} has lines: name another file.")
        if stale and not unchanged:
            raise InputError(f"{self._out} holds no verdicts on {self._in}: name another file.")
        self._file.truncate(size)

    def _mend(self) -> None:
        """Put the verdicts of what was judged again in their places; the file is never seen half mended."""
        place = self._out.resolve()
        mending = place.with_name(f".{place.name}.mending")
        with place.open("rb") as old, mending.open("wb") as new:
            for number, line in enumerate(old):
                new.write(orjson.dumps(self._mended[number]) + b"\n" if number in self._mended else line)
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(place, mending)
        mending.replace(place)


def _may_be_on(row: dict[str, Any], line: bytes, number: int) -> bool:
    """Whether a row of verdicts is one on this line, or on what stood in its place: what cannot be read has no id."""
    return isinstance(row.get("input"), str) and ("error" in row or row.get("id") == _id(line, number))


def _locked(path: Path) -> BinaryIO:
    """Open a file for appending, for this process alone."""
    file = path.open("ab")
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # else another process mended it meanwhile
            return file
    file.close()
    raise InputError(f"Another process writes {path}: wait for it, or name another file.")


def verdicts(lines: Iterator[Line], judge: Judge, word: str, *, threads: int) -> Generator[dict[str, Any]]:
    """Yield a verdict for each line, in order, while others are worked on; stops where the sandbox keeps breaking."""
    faults = 0
    pending: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="verify") as pool:
        try:
            for line in lines:
                pending.append(pool.submit(_verdict, line, judge, word))
                if len(pending) < _AHEAD * threads:
                    continue
                faults = _faults(row := pending.popleft().result(), word, faults)
                yield row
            while pending:
                faults = _faults(row := pending.popleft().result(), word, faults)
                yield row
        finally:
            for future in pending:
                future.cancel()


def _faults(row: dict[str, Any], word: str, before: int) -> int:
    faults = before + 1 if row.get(word) == INFRA_ERROR else 0
    if faults >= _FAULTS:
        raise VerifierFault(
            f"{row['evidence']['reason']} The same befell the {_FAULTS - 1} lines before: try again later."
        )
    return faults


def _verdict(line: Line, judge: Judge, word: str) -> dict[str, Any]:
    number, data = line
    ident = _id(data, number)
    row = _object(data)
    if row is None:
        return {"id": ident, "error": f"line {number} is no JSON object"}
    start = time.monotonic()
    try:
        found = judge(row)
    except UserError as error:
        return {"id": ident, "error": f"line {number}: {error}"}
    except VerifierFault as error:
        return {"id": ident, word: INFRA_ERROR, "reward": None, "evidence": {"reason": str(error)}}
    return {"id": ident, **found, "seconds": found.get("seconds", round(time.monotonic() - start, 6))}


def _lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def _object(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError, RecursionError):
        row = json.loads(line)  # not orjson, which refuses lone surrogates: programs hold them
        if isinstance(row, dict):
            return row
    return None


def _id(line: bytes, number: int) -> Any:
    """Return a line's id, or its number where it has none."""
    row = _object(line)
    return number if row is None else row.get("id", number)
