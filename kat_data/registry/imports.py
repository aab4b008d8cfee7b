"""Import of queries: bulk, exactly once, and resumable after any kill.

A chunk of rows, the totals and how far the file is read are committed together. Rows go by COPY into a temporary table
and from there, sorted by hash, into `queries`; a hash that is there already is a duplicate, and is counted instead of
stored. One thread prepares a chunk while another stores the one before.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any

import orjson
import psycopg

from kat_data.domain.bad_line import BadLine
from kat_data.domain.codec import from_python, to_json
from kat_data.domain.query import NEVER_LEFT_OUT, Message, Query
from kat_data.domain.text import normalise
from kat_data.errors import InputError, RegistryError
from kat_data.hashing import content_hash
from kat_data.registry.session import Registry
from kat_data.registry.standing import withdrawn

CHUNK_ROWS = 5000
CHUNK_CHARS = 2**25  # rows of a megabyte go in smaller chunks, or a chunk would fill the memory
BAD_LINES_KEPT = 100

Item = tuple[int, Query] | BadLine
_HASH = itemgetter(0)
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\0": None})
_NULL = r"\N"

_INCOMING = """
create temporary table incoming (
    hash bytea, line bigint, raw_fingerprint bigint, category text,
    messages text, tools text, reference text, verifier text, document text
) on commit delete rows
"""
_COPY = "copy incoming from stdin"

_INSERT = """
with new as (
    insert into queries
        (hash, line, raw_fingerprint, category, messages, tools, reference, verifier, document, source_id)
    select hash, line, raw_fingerprint, category, messages::json, tools::json, reference, verifier::json, document,
        %(source)s
    from incoming
    on conflict (hash) do nothing
    returning line
)
select line from incoming where line not in (select line from new)
"""

_JUDGE_DUPLICATES = """
with again as (
    select i.line, i.reference, i.document, q.id, q.source_id, q.document is null as undocumented,
           q.raw_fingerprint = i.raw_fingerprint as identical,
           i.reference is not null and q.reference is distinct from i.reference as conflicting
    from incoming i join unnest(%(lines)s::bigint[]) as duplicate(line) using (line) join queries q using (hash)
), noted as (
    insert into query_conflicts (query_id, source_id, line, reference)
    select id, %(source)s, line, reference from again where conflicting
    on conflict do nothing
), documented as (
    update queries set document = again.document from again
    where queries.id = again.id and again.source_id = %(source)s and undocumented and again.document is not null
)
select count(*) filter (where identical), count(*) filter (where conflicting) from again
"""

# Runs take `withdrawals.hold` for the same end: a withdrawal comes before a chunk or after it.
_HOLD = "lock table withdrawals in share mode"

_ANY_WITHDRAWN = "select exists (select from withdrawn_queries)"

# The planner knows nothing of `incoming`, and takes the queries of a source for few: it compared all of these with each
# of its rows. `offset 0` has it look queries up by their hashes first.
_BY_HASH = "set local enable_hashjoin = off; set local enable_mergejoin = off"

_WITHDRAW_NEW = """
insert into withdrawn_queries (query_id, withdrawal_id)
select here.id, w.id
from withdrawals w
join (select q.id, q.source_id from incoming i join queries q using (hash) offset 0) as here using (source_id)
where w.source_id = %(source)s and not exists (select from withdrawals undo where undo.undoes = w.id)
on conflict do nothing
"""

_COUNT_WITHDRAWN = f"""
select count(*) from incoming i join queries q using (hash) where {withdrawn("q.id")}
"""

_SAVE = """
update imports
set rows_done = %(rows)s, imported = %(imported)s, duplicates = %(duplicates)s, identical = %(identical)s,
    conflicts = %(conflicts)s, withdrawn = %(withdrawn)s, bad = %(bad)s, bad_codes = %(bad_codes)s,
    bad_lines = %(bad_lines)s
where id = %(id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did, over all its attempts; `rows` = imported + duplicates + bad.

    `identical` duplicates equal the stored query byte for byte, the others differ in white space or Unicode form.
    `conflicts` are duplicates that give another reference. `withdrawn` are queries that no run takes: duplicates of
    withdrawn ones, and new ones of a source that is withdrawn whole.
    `bad_codes` counts every bad line by its code, `bad_lines` holds the first hundred. `seconds` are of this attempt
    alone.
    `finished_before` says that the same file was imported earlier and nothing was done now.
    """

    rows: int
    imported: int
    duplicates: int
    identical: int
    conflicts: int
    withdrawn: int
    bad: int
    bad_codes: dict[str, int]
    bad_lines: tuple[BadLine, ...]
    seconds: float
    finished_before: bool


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Where an import stands: one row of `imports`."""

    id: int
    finished: bool
    rows: int
    imported: int
    duplicates: int
    identical: int
    conflicts: int
    withdrawn: int
    bad: int
    bad_codes: dict[str, int] = field(default_factory=dict)
    bad_lines: list[dict[str, Any]] = field(default_factory=list)

    def report(self, seconds: float) -> ImportReport:
        return ImportReport(
            rows=self.rows,
            imported=self.imported,
            duplicates=self.duplicates,
            identical=self.identical,
            conflicts=self.conflicts,
            withdrawn=self.withdrawn,
            bad=self.bad,
            bad_codes=dict(self.bad_codes),
            bad_lines=tuple(from_python(BadLine, line) for line in self.bad_lines),
            seconds=seconds,
            finished_before=self.finished,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Some items of the file: their queries as one block in COPY's text format, and the bad lines."""

    items: int
    queries: int
    block: str
    bad: list[BadLine]


def import_queries(
    registry: Registry,
    items: Iterable[Item],
    *,
    source: str,
    licence: str,
    file_name: str,
    preset: str,
    fingerprint: bytes,
    chunk_rows: int = CHUNK_ROWS,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Store the queries of one file and report on it; the same `fingerprint` goes on where it was stopped.

    `items` is the whole file in order, also when resuming. `on_progress` is given the rows stored so far, after each
    chunk. Raises `InputError` where the source is known with another licence, `RegistryError` where another process is
    importing the file or Postgres fails; what is stored stays, and the same call goes on from there.
    """
    started = time.monotonic()
    try:
        with registry.connection(autocommit=True) as connection, _alone(connection, fingerprint, file_name):
            source_id = _source(connection, source, licence)
            progress = _open(connection, source_id, file_name, preset, fingerprint)
            if not progress.finished:
                connection.execute(_INCOMING)
                # A chunk lost in a crash of the server is read again with its progress: the end alone is awaited.
                connection.execute("set synchronous_commit = off")
                chunks = _chunks(islice(items, progress.rows, None), chunk_rows)
                _store_all(connection, chunks, progress, source_id, on_progress)
                _finish(connection, progress)
    except psycopg.OperationalError as error:
        raise RegistryError(f"The import of {file_name} stopped: {error}. Run it again to go on.") from error
    return progress.report(time.monotonic() - started)


@contextmanager
def _alone(connection: "psycopg.Connection[Any]", fingerprint: bytes, file_name: str) -> Iterator[None]:
    """Keep other processes from importing the same file while the block runs."""
    key = [int.from_bytes(fingerprint[:8], "big", signed=True)]
    if connection.execute("select pg_try_advisory_lock(%s)", key).fetchone() != (True,):
        raise RegistryError(f"{file_name} is being imported by another process: wait for it.")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", key)


def _finish(connection: "psycopg.Connection[Any]", progress: _Progress) -> None:
    connection.execute("set synchronous_commit = on")
    connection.execute("update imports set finished_at = now() where id = %s", [progress.id])
    if progress.imported:
        connection.execute("analyze queries")  # plans made for an empty table take minutes on a full one


def _source(connection: "psycopg.Connection[Any]", name: str, licence: str) -> int:
    values = {"name": name, "licence": licence}
    insert = "insert into sources (name, licence) values (%(name)s, %(licence)s) on conflict (name) do nothing"
    connection.execute(insert, values)
    found = connection.execute("select id, licence from sources where name = %(name)s", values).fetchone()
    assert found is not None
    if found[1] != licence:
        raise InputError(f"Source {name} has licence {found[1]}, not {licence}: give the file another source name.")
    return int(found[0])


def _open(
    connection: "psycopg.Connection[Any]", source_id: int, file_name: str, preset: str, fingerprint: bytes
) -> _Progress:
    connection.execute(
        "insert into imports (source_id, fingerprint, file_name, preset) values (%s, %s, %s, %s)"
        " on conflict (fingerprint) do nothing",
        [source_id, fingerprint, file_name, preset],
    )
    row = connection.execute(
        "select id, finished_at is not null, rows_done, imported, duplicates, identical, conflicts, withdrawn, bad,"
        " bad_codes, bad_lines from imports where fingerprint = %s",
        [fingerprint],
    ).fetchone()
    assert row is not None
    names = (
        "id",
        "finished",
        "rows",
        "imported",
        "duplicates",
        "identical",
        "conflicts",
        "withdrawn",
        "bad",
        "bad_codes",
        "bad_lines",
    )
    return _Progress(**dict(zip(names, row, strict=True)))


def _chunks(items: Iterator[Item], size: int) -> Iterator[_Chunk]:
    """Cut the items into chunks; a query becomes text at once, which keeps the garbage collector out of the way."""
    while True:
        lines: list[tuple[bytes, str]] = []
        bad: list[BadLine] = []
        room = CHUNK_CHARS
        for item in islice(items, size):
            if isinstance(item, BadLine):
                bad.append(item)
            else:
                number, query = item
                key = query.hash
                line = _copy_line(key, number, query)
                lines.append((key, line))
                if (room := room - len(line)) < 0:
                    break
        if not lines and not bad:
            return
        lines.sort(key=_HASH)  # neighbours in the index together, and one order for concurrent imports
        block = "".join([line for _, line in lines])
        yield _Chunk(items=len(lines) + len(bad), queries=len(lines), block=block, bad=bad)


def _copy_line(key: bytes, number: int, query: Query) -> str:
    messages = orjson.dumps([_message(m, text) for m in query.messages if (text := normalise(m.content)) or _counts(m)])
    tools = orjson.dumps(query.tools).decode() if query.tools else "[]"
    reference = _NULL if query.reference is None else query.reference.translate(_ESCAPES)
    verifier = _NULL if query.verifier is None else _escape_json(to_json(query.verifier).decode())
    document = _NULL if query.document is None else query.document.translate(_ESCAPES)
    return (
        f"\\\\x{key.hex()}\t{number}\t{_raw_fingerprint(query.messages)}\t{query.category.value}\t{_escape_json(messages.decode())}"
        f"\t{_escape_json(tools)}\t{reference}\t{verifier}\t{document}\n"
    )


def _counts(message: Message) -> bool:
    """Whether the message counts although it is empty."""
    return bool(message.tool_calls) or message.role in NEVER_LEFT_OUT


def _message(message: Message, text: str) -> dict[str, Any]:
    stored: dict[str, Any] = {"role": message.role, "content": text}
    return {**stored, "tool_calls": message.tool_calls} if message.tool_calls else stored


def _escape_json(text: str) -> str:
    """Escape JSON for COPY: of what COPY minds, JSON holds only backslashes unescaped."""
    return text.replace("\\", "\\\\")


def _raw_fingerprint(messages: tuple[Message, ...]) -> int:
    said = [(m.role, m.content, m.tool_calls) if m.tool_calls else (m.role, m.content) for m in messages]
    return int.from_bytes(content_hash(said)[:8], "big", signed=True)


def _store_all(
    connection: "psycopg.Connection[Any]",
    chunks: Iterator[_Chunk],
    progress: _Progress,
    source_id: int,
    on_progress: Callable[[int], None] | None,
) -> None:
    with ThreadPoolExecutor(max_workers=1) as thread:
        storing: Future[None] | None = None
        for chunk in chunks:
            if storing is not None:
                storing.result()
                if on_progress:
                    on_progress(progress.rows)
            storing = thread.submit(_store, connection, chunk, progress, source_id)
        if storing is not None:
            storing.result()
            if on_progress:
                on_progress(progress.rows)


def _store(connection: "psycopg.Connection[Any]", chunk: _Chunk, progress: _Progress, source_id: int) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(_HOLD)
        with cursor.copy(_COPY) as copy:
            copy.write(chunk.block)
        duplicates = [line for (line,) in cursor.execute(_INSERT, {"source": source_id})]
        if duplicates:
            judged = cursor.execute(_JUDGE_DUPLICATES, {"lines": duplicates, "source": source_id}).fetchone()
            assert judged is not None
            progress.identical += judged[0]
            progress.conflicts += judged[1]
        progress.withdrawn += _withdrawn(cursor, source_id)
        progress.rows += chunk.items
        progress.duplicates += len(duplicates)
        progress.imported += chunk.queries - len(duplicates)
        progress.bad += len(chunk.bad)
        room = BAD_LINES_KEPT - len(progress.bad_lines)
        progress.bad_lines += [
            {"number": line.number, "reason": line.reason, "code": line.code} for line in chunk.bad[:room]
        ]
        progress.bad_codes = dict(Counter(progress.bad_codes) + Counter(line.code.value for line in chunk.bad))
        _save(cursor, progress)


def _withdrawn(cursor: "psycopg.Cursor[Any]", source_id: int) -> int:
    """Withdraw what is new of a source that is withdrawn whole; return how many of the chunk are withdrawn."""
    if cursor.execute(_ANY_WITHDRAWN).fetchone() != (True,):
        return 0
    cursor.execute(_BY_HASH)
    cursor.execute(_WITHDRAW_NEW, {"source": source_id})
    row = cursor.execute(_COUNT_WITHDRAWN).fetchone()
    return int(row[0]) if row else 0


def _save(cursor: "psycopg.Cursor[Any]", progress: _Progress) -> None:
    names = ("id", "rows", "imported", "duplicates", "identical", "conflicts", "withdrawn", "bad")
    values = {name: getattr(progress, name) for name in names}
    found = {name: orjson.dumps(getattr(progress, name)).decode() for name in ("bad_codes", "bad_lines")}
    cursor.execute(_SAVE, values | found)
