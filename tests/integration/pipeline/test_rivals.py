"""Rivals of samples as real runs leave them: judged incorrect by a verifier, or scored lower by rewarders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from kat_data.cli.snapshots import snapshots
from kat_data.clock import SystemClock
from kat_data.domain.category import Category
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.rival import Fault
from kat_data.domain.score import Score, overall
from kat_data.domain.template import parse
from kat_data.errors import UserError
from kat_data.pipeline.publish import publish_run
from kat_data.pipeline.rivals import Rivals
from kat_data.registry import lineage, queries
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.testing import a_query
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

RESULT = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["result"]})
SAMPLED = [
    "normalise",
    {"vote_mode": {"random_share": 0}},
    {"sample_off": {"k": 4, "keep": "all", "concurrent": 4}},
    {"sample_on": {"k": 4, "keep": "all", "concurrent": 4}},
    "verify",
]


def script(body: dict[str, Any]) -> str:
    """A voter for think_off, rewarders that like the last answers best, and a result in every other answer."""
    form = body.get("response_format")
    fields = form["json_schema"]["schema"]["properties"] if form else {}
    if "mode" in fields:
        return '{"reason": "One fact.", "mode": "think_off"}'
    if "good" in fields:
        return '{"reason": "no fault", "score": 5, "good": true}'
    if "analysis" in fields:
        return '{"analysis": "A plain wish, so a direct answer is enough."}'
    said = "The result" if body["seed"] % 2 else "Nothing"
    return f"{said}, in way {body['seed'] % 1000}."


@pytest.fixture
def publish(registry: Registry, tmp_path: Path) -> Callable[[RunRow], Any]:
    def publish_(row: RunRow) -> Any:
        return publish_run(registry, tmp_path / "root", row.id, name="pairs", partial=False, clock=SystemClock())

    return publish_


def lineages(registry: Registry, run: int) -> list[dict[str, Any]]:
    with registry.engine.connect() as connection:
        samples = queries.list_samples(connection, run, 100)
        return [lineage.sample_lineage(connection, str(sample["id"])) for sample in samples]


async def test_answers_that_a_verifier_refuses_are_rivals(registry, run, lean, add_queries, publish) -> None:
    add_queries(*(a_query(f"Tell me of {n}.", reference=None, verifier=RESULT) for n in range(8)))
    async with ScriptedServer(script) as server:
        row = await run(lean(url=server.url, stages=[*SAMPLED, "judge_mode"]))
    with registry.engine.connect() as connection:
        known = {found["sample"]["hash"].hex(): found for found in lineages(registry, row.id)}
        rivals = Rivals(connection).find([*known, "ab" * 32])
    assert rivals.keys() == known.keys()
    for ident, found in known.items():
        wrong = {c["answer"] for c in found["candidates"] if c["answer"].startswith("Nothing")}
        assert {rival.answer for rival in rivals[ident]} == wrong
        assert {rival.fault for rival in rivals[ident]} <= {Fault.INCORRECT}
    assert any(rivals.values())


async def test_answers_that_score_lower_are_rivals(registry, run, lean, add_queries, publish) -> None:
    add_queries(*(a_query(f"Tell me of {n}.", reference=None, category=Category.GENERAL) for n in range(4)))
    async with ScriptedServer(script) as server:
        plain = lean(url=server.url, stages=[*SAMPLED, {"prefer": {"reward_weights": {"reward": 2.0}}}, "judge_mode"])  # fmt: skip  # noqa: E501
        plain["models"]["rm"] = {"endpoint": "scripted", "model": "rm", "api": "classify"}
        plain["roles"]["rewarder"] = [{"model": "rm"}]
        row = await run(plain)
    written = publish(row)
    with registry.engine.connect() as connection:
        known = {found["sample"]["hash"].hex(): found for found in lineages(registry, row.id)}
        rivals = Rivals(connection).find(list(known))
    for ident, found in known.items():
        scores = [Score(**{k: s[k] for k in ("candidate", "rewarder", "dimension", "value")}, reason="", call="")
                  for s in found["scores"]]  # fmt: skip
        totals = overall(scores, {"reward": 2.0})
        [turn] = found["turns"]
        lower = {c["answer"] for c in found["candidates"] if totals[c["position"]] < totals[turn["accepted"]]}
        assert {rival.answer for rival in rivals[ident]} == lower
        assert len(lower) == 3
        assert {(rival.fault, rival.detail.endswith(f"{totals[turn['accepted']]:.4f}")) for rival in rivals[ident]} == {
            (Fault.SCORED_LOWER, True)
        }
    assert written.manifest.hashed.rows == 4


async def test_the_command_writes_pairs_and_knows_its_registry(
    registry, run, lean, add_queries, publish, tmp_path, monkeypatch
) -> None:
    add_queries(*(a_query(f"Tell me of {n}.", reference=None, verifier=RESULT) for n in range(8)))
    async with ScriptedServer(script) as server:
        publish(await run(lean(url=server.url, stages=[*SAMPLED, "judge_mode"])))
    monkeypatch.setenv("KAT_DATABASE_URL", registry.url)
    command = ["export", "pairs", str(tmp_path / "out"), "--format", "preference", "--root", str(tmp_path / "root")]
    said = CliRunner().invoke(snapshots, [*command, "--json"], catch_exceptions=False)
    told = orjson.loads(said.stdout)
    pairs = [orjson.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_bytes().splitlines()]
    assert told["rows"] == len(pairs) > 0
    for pair in pairs:
        assert "result" in parse(pair["chosen"][0]["content"]).answer
        assert "result" not in parse(pair["rejected"][0]["content"]).answer
        assert pair["rejected_model"] == "one"
    with registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE samples SET hash = decode(md5(id::text), 'hex')")
    command[2] = str(tmp_path / "none")
    assert isinstance(found := CliRunner().invoke(snapshots, command).exception, UserError)
    assert "no row of pairs@1 is known to this registry" in str(found)
