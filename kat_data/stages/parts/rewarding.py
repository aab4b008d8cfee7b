"""Scores of answers: by judging models that see them side by side, and by reward models that see one at a time."""

from collections.abc import Mapping, Sequence

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Message, Role
from kat_data.domain.score import Score
from kat_data.errors import BadReply
from kat_data.hashing import content_hash
from kat_data.llm.model import Model, Rewards
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.answering import shown
from kat_data.stages.parts.asking import Opinion, all_settled, ask_all
from kat_data.stages.parts.replies import ScoresReply, scores_reply

_WORST, _BEST = 1, 5


async def by_judges(
    judges: Sequence[Model],
    conversation: Sequence[Message],
    candidates: Sequence[Candidate],
    rubrics: Mapping[str, str],
    *,
    orders: int,
) -> tuple[Score, ...]:
    """Have every judge score all candidates at once, with 2 `orders` in reverse order, too.

    One candidate has one order. Judges without a usable reply are left out.
    """
    if not judges:
        return ()
    schema = scores_reply(tuple(rubrics), len(candidates))
    ways = [tuple(candidates), tuple(reversed(candidates))][: min(orders, len(candidates))]
    asked = [ask_all(judges, _side_by_side(conversation, way, rubrics), schema) for way in ways]
    found = zip(ways, await all_settled(asked), strict=True)
    return tuple(score for way, opinions in found for opinion in opinions for score in _written(opinion, way, rubrics))


def _side_by_side(
    conversation: Sequence[Message], way: Sequence[Candidate], rubrics: Mapping[str, str]
) -> tuple[Message, ...]:
    answers = [shown(candidate) for candidate in way]
    mark = content_hash(answers).hex()[:12]  # no answer can know it, and so close itself or open another
    return load_prompt("prefer.v1").messages(conversation=conversation, dimensions=rubrics, answers=answers, mark=mark)


def _written(opinion: Opinion[ScoresReply], way: Sequence[Candidate], rubrics: Mapping[str, str]) -> tuple[Score, ...]:
    return tuple(
        Score(
            candidate=candidate.position,
            rewarder=opinion.model,
            dimension=dimension,
            value=(getattr(scored, dimension) - _WORST) / (_BEST - _WORST),
            reason=scored.reason,
            call=opinion.calls[-1],
        )
        for candidate, scored in zip(way, opinion.value.answers, strict=True)
        for dimension in rubrics
    )


async def by_reward_models(
    models: Sequence[Model], conversation: Sequence[Message], candidates: Sequence[Candidate]
) -> tuple[Score, ...]:
    """Have every reward model score each candidate; one that cannot score them all is left out, to be fair to each."""
    found = await all_settled(_rewards(model, conversation, candidates) for model in models)
    return tuple(score for scores in found for score in scores)


async def _rewards(model: Model, conversation: Sequence[Message], candidates: Sequence[Candidate]) -> tuple[Score, ...]:
    async def reward(candidate: Candidate) -> Rewards | None:
        try:
            return await model.reward((*conversation, Message(role=Role.ASSISTANT, content=shown(candidate))))
        except BadReply:
            return None

    rewards = await all_settled(reward(candidate) for candidate in candidates)
    if any(given is None for given in rewards):
        return ()
    return tuple(
        Score(
            candidate=candidate.position,
            rewarder=model.name,
            dimension=head,
            value=value,
            reason="",
            call=given.calls[-1],
        )
        for candidate, given in zip(candidates, rewards, strict=True)
        if given is not None
        for head, value in given.values.items()
    )
