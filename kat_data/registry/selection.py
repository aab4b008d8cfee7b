"""Which samples of a run a snapshot takes, in which order and shards: planned in SQL, read as Arrow through ADBC.

One session makes the plan, in temporary tables that end with it. Its first statement looks at the registry, once; the
others work on what that one found, and on rendered texts, which do not change: no transaction has to stay open, and
what is accepted, withdrawn or rejected meanwhile is the next snapshot's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from psycopg import sql

from kat_data.errors import RegistryError, UserError
from kat_data.registry.session import Registry, is_gone
from kat_data.registry.standing import STANDS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection

_TAKEN_ALREADY: Final = "23505"  # the SQLSTATE of a value that has to be unique
_BATCH_BYTES: Final = 4 << 20
_BAND: Final = "width_bucket(difficulty, ARRAY[4, 7]::float8[])"

_FOUND = f"""
    CREATE TEMPORARY TABLE found AS
    SELECT samples.id AS sample, samples.hash,
        substring(sha256({{prefix}} || convert_to(encode(samples.hash, 'hex'), 'UTF8')) for 8) AS place,
        samples.query_id, samples.stratum, queries.hash AS query, queries.category, coalesce(domain, '') AS domain,
        difficulty, coalesce(samples.mode, '') AS mode, sources.name AS source, sources.licence, samples.lineage,
        samples.number, queries.source_id, queries.document,
        CASE WHEN rendered_as = {{stage}} THEN octet_length(rendered) END AS bytes
    FROM samples JOIN queries ON queries.id = samples.query_id JOIN sources ON sources.id = queries.source_id
    LEFT JOIN tag_summaries USING (run_id, query_id)
    WHERE samples.run_id = {{run}} AND {STANDS}
"""

# Of the same sample that row stays whose labels, as JSON with sorted keys, come first.
_EQUAL = """
    CREATE TEMPORARY TABLE equal AS
    SELECT sample, hash FROM (
        SELECT sample, hash, row_number() OVER (PARTITION BY hash ORDER BY concat(
            '"category":', to_json(category), ',"difficulty":', coalesce(difficulty::text, 'null'),
            ',"domain":', to_json(domain), ',"licence":', to_json(licence), ',"lineage":', encode(lineage, 'hex'),
            ',"query":', encode(query, 'hex')) COLLATE "C", sample) AS rank
        FROM found WHERE hash IN (SELECT hash FROM found GROUP BY hash HAVING count(*) > 1)
    ) AS same WHERE rank > 1
"""
_DISTINCT = "DELETE FROM found USING equal WHERE equal.sample = found.sample"

_WITHIN = """
    DELETE FROM found USING (
        SELECT sample, rank, target::bigint
        FROM (SELECT sample, stratum, row_number() OVER (PARTITION BY stratum ORDER BY place, hash) AS rank FROM found)
            AS ranked
        LEFT JOIN json_each_text({targets}) AS wanted(stratum, target) USING (stratum)
    ) AS ranked WHERE ranked.sample = found.sample AND rank > coalesce(target, 0)
"""

# What must not be parted: a query, a cluster of near-duplicates or of meanings, a document of a source.
_TO_DIVIDE = f"""
    SELECT sample, ('x' || encode(place, 'hex'))::bit(64)::bigint AS place,
        coalesce({{stratum}}, concat_ws(' ', category, mode, {_BAND})) AS stratum, found.query_id AS query,
        cluster_id AS near, representative_id AS meaning,
        hashtextextended(document, source_id) & {{positive}} AS document
    FROM found LEFT JOIN cluster_members ON cluster_members.query_id = found.query_id
    LEFT JOIN semantic_clusters ON semantic_clusters.query_id = found.query_id AND run_id = {{run}}
    ORDER BY hash
"""

# The verdict that holds of the accepted answer of each turn, and of several turns the weakest: what models alone
# decided on is weaker than what a verifier found out. Further answers stand behind the first by their positions.
_JUDGED = """
    CREATE TEMPORARY TABLE judged AS
    SELECT DISTINCT ON (sample) sample, verifier, outcome, status FROM (
        SELECT DISTINCT ON (sample, turn) sample, turn, verifier, outcome, status
        FROM (
            SELECT sample, query_id, turn, coalesce(more.position, turns.accepted) AS position
            FROM found JOIN turns USING (query_id)
            LEFT JOIN (
                SELECT query_id, turn, position,
                    row_number() OVER (PARTITION BY query_id, turn ORDER BY position) AS number
                FROM further WHERE run_id = {run} AND kept
            ) AS more USING (query_id, turn, number)
            WHERE turns.run_id = {run}
        ) AS answers JOIN (SELECT * FROM verdicts WHERE run_id = {run}) AS given USING (query_id, turn, position)
        ORDER BY sample, turn, outcome = 'undecided', number DESC
    ) AS held
    ORDER BY sample, array_position('{{incorrect,undecided,correct}}', outcome), status <> 'endorsed', turn
"""

_TAKEN = """
    CREATE TEMPORARY TABLE taken AS
    SELECT sample, split, hash, query, category, domain, difficulty, mode, source, licence, lineage, verifier, outcome,
        status, bytes, row_number() OVER ordered AS number, (sum(bytes) OVER ordered - bytes) / {shard_bytes} AS piece
    FROM (
        SELECT *, coalesce(other, 'train') AS split
        FROM found LEFT JOIN divided USING (sample) LEFT JOIN judged USING (sample)
    ) AS divided
    WINDOW ordered AS (PARTITION BY split ORDER BY place, hash)
"""

# Which rows a shard has tells their order, too: sums of hashes tell them from others.
_SHARDS = """
    SELECT split, count(*) AS rows, min(number) AS first, concat_ws('-', count(*), sum(hashtextextended(said, 0)),
        sum(hashtextextended(said, 1))) AS inputs
    FROM (
        SELECT split, piece, number, concat_ws(chr(1), encode(hash, 'hex'), encode(query, 'hex'),
            encode(lineage, 'hex'), bytes, category, domain, coalesce(difficulty::text, ''), mode, source, licence,
            verifier, outcome, status) AS said
        FROM taken
    ) AS rows GROUP BY split, piece ORDER BY split <> 'train', split COLLATE "C", first
"""

_ROWS = """
    SELECT encode(taken.hash, 'hex') AS id, encode(query, 'hex') AS query, category, domain, difficulty, taken.mode,
        source, licence, encode(taken.lineage, 'hex') AS lineage, verifier, outcome, status,
        rendered || chr(10) AS rendered
    FROM taken JOIN samples ON samples.id = taken.sample
    WHERE split = {split} AND taken.number BETWEEN {first} AND {last} AND rendered_as = {stage} ORDER BY taken.number
"""
# In the order of their numbers, row by row: any other plan would read all samples for every shard.
_BY_NUMBER = dict.fromkeys(("enable_hashjoin", "enable_mergejoin", "enable_sort"), "off")
_AS_COSTS_SAY = dict.fromkeys(_BY_NUMBER, "on")

# The samples of the run that say the same are in it, too; also where some were withdrawn while it was written, so that
# the withdrawal's report names it.
_NOTE = """
    WITH noted AS (
        INSERT INTO snapshots (name, version, hash, stage, path, manifest, created_at)
        SELECT {name}, {version}, {hash}, {stage}, {path}, {manifest}, at FROM begun
        ON CONFLICT (name, hash) DO UPDATE
        SET version = excluded.version, path = excluded.path, manifest = excluded.manifest
        RETURNING id
    )
    INSERT INTO snapshot_rows (snapshot_id, sample_id)
    SELECT noted.id, sample FROM noted, (
        SELECT sample FROM taken UNION ALL SELECT equal.sample FROM equal JOIN taken USING (hash)
    ) AS held
    ORDER BY sample
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedShard:
    """One shard of the plan: its rows are numbered within the split from `first`; `inputs` tells them from others."""

    split: str
    rows: int
    first: int
    inputs: str


class Selection:
    """A plan under way: `narrow`, `divide` where there are splits, and `arrange`; then its rows can be read.

    `rows` counts the samples that it takes so far, `duplicates` those that another of the run says the same as, and
    `surplus` those that the mixture does not take.
    """

    def __init__(self, session: "_Session", run: int, stage: str, seed: int) -> None:
        self._session = session
        self._key = {"run": run, "stage": stage}
        prefix = str(seed).encode() + (64).to_bytes(8, "big")  # what `hashing.draw` hashes before the id
        session.execute("CREATE TEMPORARY TABLE begun AS SELECT now() AS at")  # what comes later is not in the snapshot
        session.execute(_FOUND, **self._key, prefix=prefix)
        session.execute("ANALYZE found")
        session.execute(_EQUAL)
        session.execute(_DISTINCT)
        self.rows = session.number("SELECT count(*) FROM found")
        self.duplicates = session.number("SELECT count(*) FROM equal")
        self.surplus = 0

    def narrow(self, targets: Mapping[str, int]) -> None:
        """Leave of each stratum at most its target, the first in the seed's order, and nothing that is in none."""
        self._session.execute(_WITHIN, targets=orjson.dumps(dict(targets)).decode())
        left = self._session.number("SELECT count(*) FROM found")
        self.surplus, self.rows = self.rows - left, left

    def unrendered(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Return the ids of the samples whose text is not stored for the stage of training."""
        found = self._session.table("SELECT sample FROM found WHERE bytes IS NULL ORDER BY sample")
        ids: np.ndarray[Any, np.dtype[np.int64]] = found.column("sample").to_numpy()
        return ids

    def measure(self) -> None:
        """Take note of the texts that were stored meanwhile."""
        self._session.execute(
            "UPDATE found SET bytes = octet_length(rendered) FROM samples"
            " WHERE samples.id = found.sample AND found.bytes IS NULL AND rendered_as = {stage}",
            **self._key,
        )

    def to_divide(self, *, by_mixture: bool) -> "Iterator[pa.RecordBatch]":
        """Yield what splits are made by, a row for each sample in the order of hashes.

        `place` is where it stands in the seed's order, `stratum` is the mixture's or of category, mode and difficulty;
        two samples that have the same `query`, `near`, `meaning` or `document` must not be parted.
        """
        stratum = sql.SQL("stratum" if by_mixture else "NULL")
        return self._session.batches(_TO_DIVIDE, **self._key, stratum=stratum, positive=2**63 - 1)

    def divide(self, samples: "pa.Table") -> None:
        """Put samples into splits beside `train`: a table of `sample`, and of the `other` split."""
        self._session.ingest("divided", samples)

    def arrange(self, shard_bytes: int) -> list[SelectedShard]:
        """Put all that is left in order, cut it into shards of about `shard_bytes` of text, and return them."""
        self._session.execute("CREATE TEMPORARY TABLE IF NOT EXISTS divided (sample bigint, other text)")
        self._session.execute(_JUDGED, **self._key)
        self._session.execute(_TAKEN, shard_bytes=shard_bytes)
        self._session.execute("CREATE INDEX ON taken (split, number)")
        self._session.execute("ANALYZE taken")
        shards = [SelectedShard(**row) for row in self._session.table(_SHARDS).to_pylist()]
        self._session.configure(_BY_NUMBER)
        return shards

    def batches(self, shard: SelectedShard) -> "Iterator[pa.RecordBatch]":
        """Yield the labels and the rendered text of a shard's rows in order, in batches of any size."""
        rows = {"split": shard.split, "first": shard.first, "last": shard.first + shard.rows - 1}
        for batch in self._session.batches(_ROWS, **self._key, **rows):
            yield _with_verdict(batch)

    def note(self, *, name: str, version: int, hash_: bytes, path: str, manifest: str) -> None:
        """Note where the snapshot stands, and which samples are in it.

        Content that is noted already gets its newest place, and samples of another run that gave the same rows. Raises
        `UserError` where the version is that of other content.
        """
        values = {"name": name, "version": version, "hash": hash_, "path": path, "manifest": manifest}
        self._session.configure(_AS_COSTS_SAY)
        try:
            self._session.execute(_NOTE, **self._key, **values)
        except Exception as error:
            if getattr(error, "sqlstate", None) != _TAKEN_ALREADY:
                raise
            raise UserError(
                f"{name}@{version} is another snapshot in this registry than {path}: give another --name or --root"
            ) from error


@contextmanager
def select_samples(registry: Registry, run: int, stage: str, seed: int) -> Iterator[Selection]:
    """Begin the plan of a snapshot of what a run accepted and nobody withdrew or rejected; raises `RegistryError`."""
    from adbc_driver_postgresql import dbapi

    with _plain_errors():
        connection = dbapi.connect(registry.url, autocommit=True)
    with connection:
        session = _Session(connection)
        session.configure({"jit": "off", "work_mem": "64MB"})
        yield Selection(session, run, stage, seed)


class _Session:
    """One session of Postgres that gives Arrow; values stand in its statements as literals."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def execute(self, statement: str, **values: Any) -> None:
        with _plain_errors(), self._connection.cursor() as cursor:
            cursor.execute(_text(statement, values))

    def configure(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            self.execute("SELECT set_config({name}, {value}, false)", name=name, value=value)

    def table(self, statement: str, **values: Any) -> "pa.Table":
        with _plain_errors(), self._connection.cursor() as cursor:
            cursor.execute(_text(statement, values))
            return cursor.fetch_arrow_table()

    def number(self, statement: str) -> int:
        return int(self.table(statement).column(0)[0].as_py())

    def batches(self, statement: str, **values: Any) -> "Iterator[pa.RecordBatch]":
        with _plain_errors(), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
            cursor.execute(_text(statement, values))
            yield from cursor.fetch_record_batch()

    def ingest(self, name: str, rows: "pa.Table") -> None:
        with _plain_errors(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, rows, mode="create", temporary=True)


def _text(statement: str, values: Mapping[str, Any]) -> str:
    literals = {name: value if isinstance(value, sql.SQL) else sql.Literal(value) for name, value in values.items()}
    return sql.SQL(statement).format(**literals).as_string(None)


def _with_verdict(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    import pyarrow as pa

    names = ["verifier", "outcome", "status"]
    parts = [batch.column(name) for name in names]
    verdict = pa.StructArray.from_arrays(parts, names=names, mask=parts[0].is_null())
    columns = {name: batch.column(name) for name in batch.schema.names if name not in names}
    return pa.RecordBatch.from_pydict(columns | {"verdict": verdict})


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Say in one line where the server is lost or cannot go on; what else ADBC raises is a defect, or the caller's."""
    from adbc_driver_manager import Error

    try:
        yield
    except Error as error:
        if is_gone(error.sqlstate):
            raise RegistryError(f"the registry cannot go on with the snapshot: {str(error).splitlines()[0]}") from error
        raise
