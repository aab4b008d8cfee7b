"""Queries whose users guide the mode: the samples hold the directive, the registry's queries do not."""

from pathlib import Path

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.directive import directive
from kat_data.domain.mode import Mode
from kat_data.pipeline.publish import publish_run
from kat_data.registry import queries
from kat_data.registry.lineage import sample_lineage
from kat_data.snapshots.read import open_snapshot

pytestmark = pytest.mark.integration

STAGES = [
    "normalise",
    "add_intent",
    {"vote_mode": {"random_share": 0}},
    "sample_off",
    "sample_on",
    "verify",
    "judge_mode",
]


async def test_samples_obey_a_directive_that_their_query_does_not_hold(
    registry, server, run, lean, add_queries, easy_queries, look, tmp_path: Path
) -> None:
    add_queries(*easy_queries)
    stages = [{"add_intent": {"share": 1}} if stage == "add_intent" else stage for stage in STAGES]
    row = await run(lean(stages=stages))
    assert look.ends(row.id) == {"accepted": 12}
    assert server.statistics.requests == 12 * 2  # an answer and a judge analysis: nothing is voted on
    with registry.engine.connect() as connection:
        samples = queries.list_samples(connection, row.id, 20)
        lineages = [sample_lineage(connection, str(sample["id"])) for sample in samples]
    assert {sample["mode"] for sample in samples} == {"think_on", "think_off"}
    publish_run(registry, tmp_path, row.id, name=None, partial=False, clock=SystemClock())
    stored = {row["query"] for row in open_snapshot(tmp_path / "lean" / "1").rows()}
    assert stored == {query.hash.hex() for query in easy_queries}
    for sample, lineage in zip(samples, lineages, strict=True):
        [intent], [turn] = lineage["intents"], lineage["turns"]
        assert (turn["mode"], turn["origin"]) == (intent["mode"], "directive")
        held = sample["sample"]
        said = held["system"] if intent["place"] == "system" else held["turns"][0]["user"]
        assert intent["text"] in said
        assert directive(said) is Mode(sample["mode"])
        assert all(intent["text"] not in message["content"] for message in lineage["query"]["messages"])
