"""Tag a query with difficulty, domain and verifiability by several models (§3.2, §4.1.2)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from statistics import median
from typing import ClassVar

from pydantic import Field

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.tag import Tag, TagSummary
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.asking import Opinion, ask_all, members
from kat_data.stages.parts.replies import TagReply
from kat_data.stages.stage import Stage, Tools

OTHER = "other"
DOMAINS = (
    "arithmetic",
    "algebra",
    "geometry",
    "number theory",
    "probability and statistics",
    "calculus",
    "logic and puzzles",
    "programming",
    "algorithms",
    "data and databases",
    "physics",
    "chemistry",
    "biology and medicine",
    "engineering",
    "economics and finance",
    "law and politics",
    "history and geography",
    "language and writing",
    "everyday life",
    "tool use",
    OTHER,
)
# The prompt's four examples, in its order; each shows the nearest of the recipe's own domains.
_EXAMPLES = ("arithmetic", "language and writing", "programming", "physics")


class TagQuery(Stage):
    """Ask every tagger side by side and keep the median difficulty, its spread and the majority's domain."""

    name: ClassVar[str] = "tag"
    roles: ClassVar[tuple[str, ...]] = ("taggers",)
    prompts: ClassVar[tuple[str, ...]] = ("tag.v1",)
    per_turn: ClassVar[bool] = False

    domains: tuple[str, ...] = Field(DOMAINS, min_length=1, description="The subjects that a query can be filed under.")

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and draft.summary is None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        messages = load_prompt("tag.v1").messages(
            texts=draft.query.user_turns,
            domains=self.domains,
            examples=[nearest_domain(name, self.domains) for name in _EXAMPLES],
        )
        opinions = await ask_all(members(tools, "taggers"), messages, TagReply)
        if not opinions:
            return Dropped(reason=DropReason.UNTAGGED)
        tags = tuple(self._tag(opinion) for opinion in opinions)
        return replace(draft, tags=tags, summary=self._summary(tags, checkable=draft.query.verifier is not None))

    def _tag(self, opinion: Opinion[TagReply]) -> Tag:
        return Tag(
            model=opinion.model,
            difficulty=opinion.value.difficulty,
            domain=nearest_domain(opinion.value.domain, self.domains),
            verifiable=opinion.value.verifiable,
            call=opinion.calls[-1],
        )

    def _summary(self, tags: Sequence[Tag], *, checkable: bool) -> TagSummary:
        difficulties = [tag.difficulty for tag in tags]
        return TagSummary(
            difficulty=float(median(difficulties)),
            spread=max(difficulties) - min(difficulties),
            domain=self._majority([tag.domain for tag in tags]),
            verifiable=checkable or 2 * sum(tag.verifiable for tag in tags) > len(tags),
        )

    def _majority(self, names: Sequence[str]) -> str:
        """The most frequent domain; of equals the one that the recipe lists first, and `other` last."""
        counts = Counter(names)
        order = (*(name for name in self.domains if name != OTHER), OTHER)
        return max(order, key=lambda name: counts[name])


def nearest_domain(text: str, domains: Sequence[str]) -> str:
    """Return the domain that `text` names, also with a slip in spelling or as part of a name; else `other`."""
    wanted = " ".join(text.casefold().split())
    by_folded = {name.casefold(): name for name in domains}
    if wanted in by_folded:
        return by_folded[wanted]
    if close := get_close_matches(wanted, by_folded, n=1, cutoff=0.8):
        return by_folded[close[0]]
    words = set(wanted.split()) - {"and", "of", "the"}
    return next((name for folded, name in by_folded.items() if words & set(folded.split())), OTHER)
