"""A sample with one of everything behind it."""

from collections.abc import Awaitable, Callable

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.call import Charge
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin, Vote
from kat_data.domain.states import ItemState
from kat_data.domain.tag import Tag, TagSummary
from kat_data.hashing import content_hash
from kat_data.registry.facts import new_facts
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.registry.worker import Attempt, Claim, Move, Step, Worker
from kat_data.testing import a_candidate, a_draft, a_reply, a_request, a_verdict


@pytest.fixture
def an_accepted_sample(registry: Registry) -> Callable[[RunRow], Awaitable[Claim]]:
    """Bring one item of a run to a sample."""

    async def accept(run: RunRow) -> Claim:
        clock, request = SystemClock(), a_request("How hard is it?")
        key = request.key.hex()
        async with await Worker.start(registry, clock) as worker:
            ledger = await PostgresLedger.open(registry, run=run.id, worker=worker.id, clock=clock)
            if await ledger.reserve(request, Charge(usd=1.0, tokens=100)) is None:
                await ledger.settle(request, a_reply("easy"), Charge(usd=0.5, tokens=15), seconds=0.1)
            await ledger.close()
            [claim] = await worker.claim(run.id, 1, ["verify", "first"])
            draft = a_draft(
                claim.draft.query,
                tags=(Tag(model="small", difficulty=2, domain="arithmetic", verifiable=True, call=key),),
                summary=TagSummary(difficulty=2.0, spread=0, domain="arithmetic", verifiable=True),
                votes=(Vote(model="small", mode=Mode.OFF, reason="It is easy.", call=key),),
                choice=ModeChoice(mode=Mode.OFF, origin=ModeOrigin.MAJORITY, margin=1.0),
                candidates=(a_candidate("42", calls=(key,), verdicts=(a_verdict(),)),),
                accepted=0,
                judge_analysis="It is easy.",
            )
            facts, finished = new_facts((run.id, claim.query), claim.draft, draft), draft.finish_turn()
            sample = {
                "hash": "\\x" + content_hash(finished.sample()).hex(),
                "run_id": run.id,
                "query_id": claim.query,
                "number": 0,
                "mode": finished.sample().mode,
                "sample": finished.sample(),
                "lineage": "\\x" + finished.lineage.hex(),
            }
            attempt = Attempt(stage="tag", started_at=clock.now(), seconds=0.1, outcome="done", calls=(key,))
            accepted = Move(stage="judge_mode", turn=0, state=ItemState.ACCEPTED)
            await worker.commit(Step(claim=claim, attempt=attempt, move=accepted, facts=facts, samples=(sample,)))
        return claim

    return accept
