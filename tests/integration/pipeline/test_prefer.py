"""The best of several answers by what rewarders say of it, over real HTTP, and what stays behind of that."""

from typing import Any

import pytest

from kat_data.domain.category import Category
from kat_data.registry import queries
from kat_data.registry.lineage import sample_lineage
from kat_data.testing import a_query
from kat_data.testing.scripted_server import ScriptedServer, by_hash

pytestmark = pytest.mark.integration


def preferring(lean: Any, url: str, **options: Any) -> Any:
    plain = lean(
        url=url,
        stages=[
            "normalise",
            {"vote_mode": {"random_share": 0}},
            {"sample_off": {"k": 4, "keep": "all", "concurrent": 4}},
            {"sample_on": {"k": 4, "keep": "all", "concurrent": 4}},
            "verify",
            {"prefer": options},
            "judge_mode",
        ],
    )
    plain["models"] |= {
        "rm": {"endpoint": "scripted", "model": "rm", "api": "classify"},
        "checkpoint": {"endpoint": "scripted", "model": "checkpoint", "revision": "step-400"},
    }
    plain["roles"] |= {
        "rewarder": [{"model": "one"}, {"model": "rm"}],
        "responder.general": [{"model": "checkpoint", "temperature": 1.0}],
        "reasoner.general": [{"model": "checkpoint", "temperature": 1.0}],
    }
    return plain


def general(number: int) -> Any:
    return a_query(f"Tell me of {number} things.", reference=None, category=Category.GENERAL)


def script(body: dict[str, Any]) -> str:
    """A panel and a critic that like everything, and answers that differ from draw to draw."""
    form = body.get("response_format")
    fields = form["json_schema"]["schema"]["properties"] if form else {}
    if "mode" in fields:
        return '{"reason": "One fact.", "mode": "think_off"}'
    if "good" in fields:
        return '{"reason": "no fault", "score": 5, "good": true}'
    if "analysis" in fields:
        return '{"analysis": "A plain wish, so a direct answer is enough."}'
    if "answers" in fields:
        size = fields["answers"]["minItems"]
        entry = '{"reason": "-", "helpfulness": 4, "correctness": 4, "instruction_following": 4, "style": 4}'
        return f'{{"answers": [{", ".join([entry] * size)}]}}'
    return f"{body['messages'][-1]['content']} In way {body['seed'] % 100}."


async def test_the_best_answer_is_kept_and_its_scores_are_in_the_lineage(
    registry, run, lean, add_queries, look
) -> None:
    add_queries(*(general(number) for number in range(6)))
    async with ScriptedServer(script) as server:
        row = await run(preferring(lean, server.url))
        assert look.ends(row.id) == {"accepted": 6}
        assert server.statistics.duplicates == 0
        # A vote, four answers, a panel's word on each, two orders of one judge, four rewards, a judge analysis.
        assert server.statistics.requests == 6 * (1 + 4 + 4 + 2 + 4 + 1)
        again = await run(preferring(lean, server.url))
        assert (again.id, server.statistics.requests) == (row.id, 6 * 16)
    with registry.engine.connect() as connection:
        samples = queries.list_samples(connection, row.id, 10)
        lineages = [sample_lineage(connection, str(sample["id"])) for sample in samples]
    chosen = set()
    for lineage in lineages:
        assert {candidate["model"] for candidate in lineage["candidates"]} == {"checkpoint"}
        rewards = {s["candidate"]: s["value"] for s in lineage["scores"] if s["dimension"] == "reward"}
        answers = {candidate["position"]: candidate["answer"] for candidate in lineage["candidates"]}
        assert rewards == {n: pytest.approx(by_hash({"text_2": answer})[0]) for n, answer in answers.items()}
        [turn] = lineage["turns"]
        assert rewards[turn["accepted"]] == max(rewards.values())
        assert lineage["sample"]["sample"]["turns"][0]["answer"] == answers[turn["accepted"]]
        assert len(lineage["scores"]) == 4 * (2 * 4 + 1)
        chosen.add(turn["accepted"])
    assert len(chosen) > 1


async def test_a_minimum_drops_what_nobody_likes_and_keeps_why(registry, run, lean, add_queries, look) -> None:
    add_queries(general(1))
    async with ScriptedServer(script, rewards=lambda body: [0.0]) as server:
        row = await run(preferring(lean, server.url, minimum=0.9))
    assert look.reasons(row.id) == {"low_score"}
    with registry.engine.connect() as connection:
        [query] = connection.exec_driver_sql("SELECT query_id FROM work_items").scalars()
        lineage = sample_lineage(connection, f"{row.id}/{query}")
    assert lineage["item"]["detail"] == "the best scores 0.60, the recipe asks for 0.9"
    assert len(lineage["scores"]) == 4 * (2 * 4 + 1)
