"""The tree of a long lineage: readable at 100 columns, whole texts only where asked, model text inert."""

import io
from typing import Any

import pytest
from rich.console import Console

from kat_data.cli.lineage_tree import tree
from kat_data.registry.lineage import FACT_ORDER

LONG = "Think about it step by step. " * 200


def call(turn: int, stage: str, number: int) -> dict[str, Any]:
    return {
        "turn": turn, "stage": stage, "key": f"{number:064x}", "model": "a-model-with-a-long-name-70b", "revision": "",
        "state": "done", "finish_reason": "stop", "usd": 0.25, "lost_usd": 0.0, "tokens": 1_500, "prompt_tokens": 500,
        "completion_tokens": 1_000, "recorded": False, "paid_by_run": 3 if number % 2 else 2, "pruned": None,
        "request": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": LONG}]},
        "reply": {"text": LONG, "reasoning": "Hm."},
    }  # fmt: skip


@pytest.fixture
def conversation() -> dict[str, Any]:
    """Two turns with 40 calls, rounds of three agents, votes, verdicts and a checkpoint."""
    calls = [
        call(turn, stage, 4 * n + turn)
        for turn in (0, 1)
        for n, stage in enumerate(["vote_mode"] * 8 + ["reason_on"] * 12)
    ]
    rounds = [
        {"role": role, "model": "big", "text": LONG, "findings": ["An edge case is missing."], "passed": passed}
        for role, passed in (("solver", None), ("thinker", None), ("critic", True))
    ]
    candidates = [
        {"turn": turn, "position": 0, "model": "big", "mode": "think_on", "fault": None, "rounds": rounds,
         "thinking": LONG, "answer": "42 [bold]not bold[/bold] \x1b[2J", "tool_calls": []}
        for turn in (0, 1)
    ]  # fmt: skip
    training = {
        "hash": "cd" * 32, "trainer": "cold_start", "state": "finished", "base_model": "kat-40b", "after": None,
        "inputs": [{"hash": "ab" * 32, "label": "maths@3"}], "metrics": {"loss": 0.123456}, "rows": 1,
        "checkpoint": "s3://models/kat/7", "checkpoint_hash": "ef" * 32,
    }  # fmt: skip
    return {
        "kind": "sample",
        "run": 3,
        **{table: [] for table in FACT_ORDER},
        "query": {"id": 1, "hash": "12" * 32, "source": "web", "line": 17, "licence": "MIT", "category": "math",
                  "messages": [{"role": "user", "content": LONG}], "reference": "42"},
        "conflicts": [{"source": "other", "line": 2, "reference": "41"}],
        "withdrawals": [],
        "item": {"state": "accepted", "stage": "judge_mode", "reason": None, "detail": None},
        "sample": {"hash": bytes(32)},
        "turns": [{"turn": t, "mode": "think_on", "origin": "majority", "margin": 0.5, "accepted": 0,
                   "judge_analysis": LONG} for t in (0, 1)],
        "votes": [{"turn": t, "model": "m", "mode": "think_on", "reason": LONG} for t in (0, 1) for _ in range(3)],
        "candidates": candidates,
        "verdicts": [{"turn": t, "position": 0, "verifier": "math/3", "outcome": "correct", "status": "passed",
                      "evidence": {"found": "42"}} for t in (0, 1)],
        "calls": calls,
        "usd": sum(one["usd"] for one in calls),
        "decisions": [],
        "standing_decision": None,
        "snapshots": [{"name": "maths", "version": 3, "hash": "ab" * 32, "path": "/s/maths/3", "aliases": ["prod"]}],
        "training": [training],
        "messages": [{"role": "user", "content": LONG}],
    }  # fmt: skip


def printed(found: dict[str, Any], *, full: bool = False) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=100, highlight=False).print(tree(found, full=full))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_forty_calls_are_readable_at_a_hundred_columns(conversation) -> None:
    lines = printed(conversation)
    assert len(conversation["calls"]) == 40
    assert max(map(len, lines)) <= 100
    assert len(lines) < 300
    told = "\n".join(lines)
    assert "40 calls, 60,000 tokens, $10.00" in told
    assert "turn 2, reason_on: 12 calls, $3.00" in told
    assert "another reference in other, line 2: 41" in told
    assert "round 3, critic (big)" in told
    assert "maths@3 (prod)" in told
    assert "checkpoint s3://models/kat/7 (efefefefefefefef)" in told
    assert told.count("paid by run 2") == 20
    assert "Be brief." not in told


def test_text_of_models_is_inert(conversation) -> None:
    told = "\n".join(printed(conversation))
    assert r"42 [bold]not bold[/bold] \x1b[2J" in told
    assert "\x1b" not in told


def test_full_shows_whole_prompts_and_the_training_text(conversation) -> None:
    told = " ".join(word for word in " ".join(printed(conversation, full=True)).split() if word != "│")
    assert told.count("system: Be brief.") == 40
    assert told.count("Think about it step by step.") > 200 * 80
    assert "training text" in told


def test_a_row_that_nobody_knows_says_what_its_snapshot_says(conversation) -> None:
    snapshot = {
        "name": "maths", "version": 3, "hash": "ab" * 32, "stage": "stage2", "path": "/s/maths/3", "aliases": [],
        "built_at": "2026-01-01", "rows": 5, "parent": {"label": "maths@2", "content_hash": "aa" * 32},
        "sources": {"web": 5}, "licences": {"MIT": 5}, "models": {"voters": ["m"]}, "seed": 7, "code_version": "0.1.0",
        "money": {"usd_used": 2.5, "prompt_tokens": 10, "completion_tokens": 20}, "recipe": {"stages": ["normalise"]},
    }  # fmt: skip
    row = {
        "id": "cd" * 32, "query": "12" * 32, "source": "web", "licence": "MIT", "category": "math", "domain": "algebra",
        "difficulty": 3.5, "mode": "think_off", "lineage": "34" * 32,
        "messages": [{"role": "user", "content": "What is 6 * 7?"}],
    }  # fmt: skip
    told = "\n".join(printed({"kind": "row", "row": row, "snapshot": snapshot}))
    for said in (
        "The registry does not know this row",
        "from web, licence MIT",
        "math · algebra · think_off · difficulty 3.5",
        "user: What is 6 * 7?",
        "follows maths@2 (aaaaaaaaaaaaaaaa)",
        "money: $2.50 for every call behind its run",
    ):
        assert said in told
