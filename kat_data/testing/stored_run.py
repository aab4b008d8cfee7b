"""A registry with accepted samples of which no model was ever asked, and the same samples as rows at hand."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kat_data.domain.category import Category
from kat_data.domain.codec import to_json
from kat_data.domain.mode import Mode
from kat_data.domain.query import Query
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.hashing import content_hash
from kat_data.registry.imports import import_queries
from kat_data.registry.session import Registry
from kat_data.snapshots.record import Grading, Row, TrainingStage, render
from kat_data.testing.builders import a_query

RUN = 1
"""The id of the run that is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A sample of a query, as a run would have brought it; `opinions` says of each turn whether a panel accepted it.

    Samples of one query differ in their `number`.
    """

    query: Query
    sample: Sample
    difficulty: float = 3.0
    stratum: str | None = None
    opinions: tuple[bool, ...] = (False,)
    number: int = 0

    @property
    def row(self) -> Row:
        """The same as a caller would give it to `write_snapshot`."""
        weakest = (Status.ENDORSED, "panel") if any(self.opinions) else (Status.CORRECT, "math/2")
        return Row(
            sample=self.sample,
            query=self.query.hash.hex(),
            lineage=self.lineage.hex(),
            category=self.query.category,
            source=self.query.source,
            licence=self.query.licence,
            domain="arithmetic",
            difficulty=self.difficulty,
            verdict=Verdict(outcome=Outcome.CORRECT, status=weakest[0], verifier=weakest[1]),
        )

    @property
    def lineage(self) -> bytes:
        """What stands for its history."""
        return content_hash([self.query.hash.hex(), self.number, self.difficulty])


def an_accepted(
    which: int, *, turns: int = 1, said: str = "It depends.", answer: str | None = None, **changes: Any
) -> Accepted:
    """Make a sample of the query `which`, which differs by what it has `said` before; every third thinks."""
    texts = [f"How much is {which} + {turn}? 请回答" for turn in range(turns)]
    before = [part for text in texts for part in (text, said)]
    query = a_query(
        *(before if said != "It depends." else before[:-1]),
        reference=None,
        category=list(Category)[which % 6],
        source="made-up",
        licence="MIT",
        document=changes.pop("document", None),
    )
    given = [
        Turn(
            user=text,
            judge_analysis="A small sum.",
            mode=Mode.OFF if which % 3 else Mode.ON,
            thinking="" if which % 3 else f"{which} and so on",
            answer=answer or f"so it is {which}\n" * (500 if which % 17 == 5 else 1 + which % 50) + "that is it",
        )
        for text in texts
    ]
    sample = Sample(system=None, tools=(), turns=tuple(given))
    values: dict[str, Any] = {"opinions": (False,) * turns, "difficulty": 1.0 + which % 9} | changes
    return Accepted(query=query, sample=sample, **values)


def store_run(registry: Registry, found: Iterable[Accepted], *, rendered: bool = True) -> None:
    """Store a finished run that accepted these samples, in this order."""
    found = list(found)
    queries = {one.query.hash: one.query for one in found}
    import_queries(
        registry,
        list(enumerate(queries.values(), 1)),
        source="made-up",
        licence="MIT",
        file_name="made-up.jsonl",
        preset="plain",
        fingerprint=b"made-up",
        chunk_rows=7,
    )
    with registry.connection() as connection:
        connection.execute(
            "INSERT INTO runs (key, name, recipe, state, queries) VALUES ('', 'stored', '{}', 'finished', %s)",
            [len(queries)],
        )
        ids = dict(connection.execute("SELECT hash, id FROM queries").fetchall())
        for one in found:
            _store_one(connection, ids[one.query.hash], one, rendered=rendered)


def _store_one(connection: Any, query: int, one: Accepted, *, rendered: bool) -> None:
    key, position = {"run_id": RUN, "query_id": query}, 1 + one.number
    if one.number == 0:
        _insert(connection, "work_items", **key, stage="judge_mode", state="accepted")
        tagged = {"difficulty": one.difficulty, "spread": 0, "domain": "arithmetic", "verifiable": True}
        _insert(connection, "tag_summaries", **key, **tagged)
    for turn, opinion in enumerate(one.opinions):
        answer = {**key, "turn": turn, "position": position}
        if one.number == 0:
            _insert(connection, "turns", **key, turn=turn, accepted=position)
        else:
            _insert(connection, "further", **answer)
        holds = ("panel", "correct", "endorsed") if opinion else ("math/2", "correct", "correct")
        given = [("rule", "undecided", "unparsable"), holds, ("judge", "undecided", "timeout")]
        for number, (verifier, outcome, status) in enumerate(given):
            said = {"verifier": verifier, "outcome": outcome, "status": status, "evidence": "{}"}
            _insert(connection, "verdicts", **answer, number=number, **said)
    text = render(one.sample, TrainingStage.STAGE2, Grading()) if rendered else None
    _insert(
        connection,
        "samples",
        hash=content_hash(one.sample),
        **key,
        number=one.number,
        mode=one.sample.mode.value,
        stratum=one.stratum,
        sample=to_json(one.sample).decode(),
        rendered=text,
        rendered_as=TrainingStage.STAGE2.value if rendered else None,
        lineage=one.lineage,
    )


def _insert(connection: Any, table: str, **values: Any) -> None:
    places = ", ".join(["%s"] * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))
