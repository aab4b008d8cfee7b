"""The tallies of whole runs, with faults, deaths and a mixture, are what the tables hold."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from kat_data.errors import EndpointRefused, VerifierFault
from kat_data.registry import runs
from kat_data.registry.overview import run_overview
from kat_data.registry.queries import run_cost
from kat_data.registry.session import Registry
from kat_data.testing.scripted_server import Fault, ScriptedServer
from kat_data.verifiers.dispatch import Verifiers

pytestmark = pytest.mark.integration

COUNTED = """
    SELECT 'item' AS kind, stage AS name, state AS outcome, count(*) AS count FROM work_items GROUP BY 1, 2, 3
    UNION ALL SELECT 'attempt', stage, outcome, count(*) FROM stage_attempts GROUP BY 1, 2, 3
    UNION ALL SELECT 'verdict', verifier, outcome, count(*) FROM verdicts GROUP BY 1, 2, 3
    UNION ALL SELECT 'sample', coalesce(mode, 'pair'), 'accepted', count(*) FROM samples GROUP BY 1, 2, 3
    UNION ALL SELECT 'call', model, coalesce(finish_reason, 'failed'), count(*) FROM calls
    WHERE state = 'done' GROUP BY 1, 2, 3
"""


@pytest.fixture
def agree(registry: Registry) -> Callable[[int], None]:
    """Assert that the run's tallies and money are what the only run's tables hold."""

    def check(run: int) -> None:
        with registry.engine.connect() as connection:
            found = run_overview(connection, run)
            counted = {(row.kind, row.name, row.outcome): row.count for row in connection.execute(text(COUNTED))}
            paid = run_cost(connection, run).usd
        tallied = {(kind, t.name, t.outcome): t.count for kind, of in found.tallies.items() for t in of}
        assert {key: n for key, n in tallied.items() if key[2] != "failed" or key[0] != "call"} == counted
        assert found.usd == pytest.approx(paid)
        assert sum(tally.count for tally in found.of("item")) == found.queries
        assert (found.leases, found.in_flight, found.reserved_usd) == (0, 0, 0.0)

    return check


async def test_faults_deaths_and_revivals(
    registry: Registry, server: ScriptedServer, lean, run, add_queries, easy_queries, monkeypatch, look, agree
) -> None:
    add_queries(*easy_queries)
    whole = Verifiers.verify

    def broken(self: Verifiers, query: Any, candidate: Any) -> Any:
        if query.user_turns[0].endswith(" 3."):
            raise VerifierFault("its process died")
        return whole(self, query, candidate)

    server.fail(*(Fault(status=500) for _ in range(6)), Fault(status=403))
    with pytest.raises(EndpointRefused):
        await run(lean(attempts=2))
    [row] = look.runs()
    agree(row.id)
    with monkeypatch.context() as patch:
        patch.setattr(Verifiers, "verify", broken)
        finished = await run(lean(attempts=2))
    agree(finished.id)
    with registry.engine.begin() as connection:
        assert runs.revive_dead(connection, finished.id) == 1
    agree(finished.id)
    await run(lean(attempts=2))
    agree(finished.id)


async def test_a_mixture(lean, run, add_queries, easy_queries, agree) -> None:
    add_queries(*easy_queries)
    stages = [
        "normalise",
        {"vote_mode": {"random_share": 0}},
        {"select": {"counts": {"category=math": 4}}},
        *({name: {}} for name in ("sample_off", "sample_on", "verify", "judge_mode")),
    ]
    finished = await run(lean(stages=stages))
    agree(finished.id)
