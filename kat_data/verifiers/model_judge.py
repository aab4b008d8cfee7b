"""A second opinion by models, on answers that a verifier could not read: does the answer state the reference's result?

Models can be talked into anything, so their word is no reward: an approval is an `endorsed` verdict, which lets a
sample be kept and whose reward is none. Every judge answers with the two texts in both orders, and may not find the
answer equal to a decoy either; a judge that contradicts itself, that is swayed, or whose reply cannot be read abstains.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool

from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import BadReply
from kat_data.hashing import content_hash
from kat_data.llm.model import Model
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.verifiers.keyword import fold

NAME = "model_judge/1"
PROMPT = "compare.v2"
TAIL = 12_000
"""Only so many characters at an answer's end are shown to judges."""

_TOLERANCE = 1e-9
_ADDRESSED = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:above|previous|prior|earlier|instructions?|prompts?|rules?|text|reference)\b"
    r"|\b(?:judges?|graders?|evaluators?|examiners?|verifiers?|raters?)\b.{0,80}\b(?:must|should|shall|please|say|reply|answer|output|mark|accept|return|note)\b"
    r"|\b(?:mark|grade|rate|score|judge|label|accept|treat|consider)\s+(?:this|it|my|the)\b.{0,40}\b(?:correct|right|true|same|equivalent|equal)\b"
    r"|\b(?:reply|respond|answer|output|return|say|write)\b.{0,30}[\"'{]?\b(?:same|equivalent|correct|true)\b[\"'}]?\s*$"
    r"|[\"']?\b(?:same|equivalent|correct|verdict|good|passed|is_correct)\b[\"']?\s*[:=]\s*[\"']?(?:true|yes|correct|same|1)\b"
    r"|<\|?(?:im_start|im_end|system|assistant|user|endoftext|eot_id)|\[/?inst\]|</?(?:task|first|second)\b|\b(?:system|assistant)\s*(?:prompt|message)?\s*:"
    r"|忽略.{0,8}(?:以上|上面|之前|前面|所有|指令|提示)|(?:判|评)(?:为|定为?)(?:正确|相同|一致|对)|(?:裁判|评委|评分|评判).{0,20}(?:请|应|必须|回答|输出)",
    re.MULTILINE,
)


class SameReply(BaseModel):
    """Whether two texts state the same result."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra=lambda schema: _bare(schema))

    reason: str
    same: StrictBool


def _bare(schema: dict[str, Any]) -> None:
    """Keep titles and docstrings out of the schema: editing one must not change what a call is."""
    for part in (schema, *schema["properties"].values()):
        part.pop("description", None)
        part.pop("title", None)
    schema["additionalProperties"] = False
    schema["properties"]["reason"]["maxLength"] = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vote:
    """One judge's word: whether both texts are the same, or none and why it abstains; with the ledger keys, hex."""

    model: str
    same: bool | None
    why: str
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudge:
    """Judges that decide where at least `quorum` of them vote and a share of `agreement` of the votes agree.

    Where there are fewer judges, all of them have to vote.
    """

    agreement: float = 2 / 3
    quorum: int = 2

    async def compare(self, *, task: str, reference: str, answer: str, judges: Sequence[Model]) -> Verdict:
        """Return an opinion: `endorsed` or `objected`, both without a reward, or undecided with the votes.

        An answer that speaks to the judges, or that states nothing, is shown to none of them.
        """
        shown = answer.strip()[-TAIL:]
        if not fold(shown):
            return _verdict(Status.UNPARSABLE, note="the answer is empty")
        if speech := speaks_to_judges(shown):
            return _verdict(Status.UNPARSABLE, note=f"the answer speaks to its judges: {speech}")
        votes = await _settled(
            [
                _vote(judge, sum(judge.name == earlier.name for earlier in judges[:i]), task, reference, shown)
                for i, judge in enumerate(judges)
            ]
        )
        return self._tally(votes)

    def _tally(self, votes: Sequence[_Vote]) -> Verdict:
        cast = [vote.same for vote in votes if vote.same is not None]
        share = sum(cast) / len(cast) if cast else 0.5
        enough = len(cast) >= min(self.quorum, len(votes)) and 2 * len(cast) > len(votes)
        status = Status.SPLIT_PANEL
        if enough and max(share, 1 - share) >= max(self.agreement, 0.5 + _TOLERANCE) - _TOLERANCE:
            status = Status.ENDORSED if share > 0.5 else Status.OBJECTED
        said = [{"model": v.model, "same": v.same, "why": v.why, "calls": list(v.calls)} for v in votes]
        return _verdict(status, votes=said)


def speaks_to_judges(answer: str) -> str | None:
    """Return the words with which an answer addresses whoever judges it, none where it does not."""
    found = _ADDRESSED.search("\n".join(fold(line) for line in answer.splitlines()))
    return found.group()[:80] if found else None


async def _vote(judge: Model, sample: int, task: str, reference: str, answer: str) -> _Vote:
    mark = content_hash((task, reference, answer)).hex()[:12]
    orders = [(reference, answer), (answer, reference)]
    asked = await _settled([_ask(judge, sample, mark, task, first, second) for first, second in orders])
    calls = tuple(call for _, own in asked for call in own)
    replies = [reply for reply, _ in asked if reply is not None]
    if len(replies) < 2:
        return _Vote(model=judge.name, same=None, why="a reply that cannot be read", calls=calls)
    if replies[0].same != replies[1].same:
        return _Vote(model=judge.name, same=None, why="another word for another order", calls=calls)
    if replies[0].same:
        decoy, more = await _ask(judge, sample, mark, task, f"The result is the word {mark[::-1]}.", answer)
        calls += more
        if decoy is None or decoy.same:
            return _Vote(model=judge.name, same=None, why="finds it equal to a decoy", calls=calls)
    return _Vote(model=judge.name, same=replies[0].same, why=replies[0].reason, calls=calls)


async def _ask(
    judge: Model, sample: int, mark: str, task: str, first: str, second: str
) -> tuple[SameReply | None, tuple[str, ...]]:
    texts = {"task": task, "first": first, "second": second}
    messages = load_prompt(PROMPT).messages(mark=mark, **{name: text.replace(mark, "") for name, text in texts.items()})
    try:
        reply = await judge.ask(messages, SameReply, sample=sample)
    except BadReply as error:
        return None, error.calls
    return reply.value, reply.calls


async def _settled(asked: Sequence[Any]) -> list[Any]:
    """Await all side by side; an exception is raised only once every one has ended, so that none runs on unseen."""
    results = await asyncio.gather(*asked, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _verdict(status: Status, **evidence: Any) -> Verdict:
    outcomes = {Status.ENDORSED: Outcome.CORRECT, Status.OBJECTED: Outcome.INCORRECT}
    return Verdict(outcome=outcomes.get(status, Outcome.UNDECIDED), status=status, verifier=NAME, evidence=evidence)
