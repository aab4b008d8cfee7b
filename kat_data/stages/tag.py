"""Tag a query with difficulty, domain, verifiability and further labels by several models (§3.2, §4.1.2)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from statistics import median
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.query import Message
from kat_data.domain.tag import Tag, TagSummary
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.asking import Opinion, ask_all, members
from kat_data.stages.parts.replies import LabelledTagReply, TagReply, tag_reply
from kat_data.stages.stage import Stage, Tools
from kat_data.stages.taxonomy import OTHER, SHIPPED, Subject, Taxonomy, shipped_hash, shipped_taxonomy

PLAIN = "tag.v1"
# The plain prompt's four examples, in its order; each shows the nearest of the recipe's own domains.
_EXAMPLES = ("arithmetic", "language and writing", "programming", "physics")


def _or_path(schema: JsonDict) -> None:
    """Allow a path, too: a recipe's file may name the taxonomy's instead of holding it."""
    options = schema["anyOf"]
    assert isinstance(options, list)
    options.insert(0, {"type": "string"})


class TagQuery(Stage):
    """Ask every tagger side by side; keep the median difficulty, its spread, and the majority's domain and labels."""

    name: ClassVar[str] = "tag"
    roles: ClassVar[tuple[str, ...]] = ("taggers",)
    prompts: ClassVar[tuple[str, ...]] = (PLAIN, "tag.v2")
    per_turn: ClassVar[bool] = False

    prompt: Literal["tag.v1", "tag.v2"] = Field(
        "tag.v2", description="The prompt: tag.v2 describes domains and difficulty, tag.v1 is short and names them."
    )
    taxonomy: Taxonomy | None = Field(
        None,
        description="A YAML file that extends the shipped taxonomy, or its content; with `alone`, replaces it.",
        json_schema_extra=_or_path,
    )
    domains: tuple[str, ...] = Field(
        (), description="The domains that a query can be filed under, by name; all of the taxonomy's where it is empty."
    )
    labels: tuple[str, ...] = Field((), description="Further labels to ask for, by their names in the taxonomy.")

    @model_validator(mode="after")
    def _fits_the_taxonomy(self) -> "TagQuery":
        known = self._taxonomy.labels
        if strange := [name for name in self.labels if name not in known]:
            raise ValueError(f"the taxonomy has no label `{strange[0]}` (it has: {', '.join(known)})")
        if self.labels and self.prompt == PLAIN:
            raise ValueError("labels need the prompt tag.v2")
        return self

    def files(self) -> dict[str, str]:
        if self.prompt == PLAIN and self.domains:
            return {}
        shipped = {} if self.taxonomy and self.taxonomy.alone else {SHIPPED: shipped_hash()}
        return shipped if self.taxonomy is None else {**shipped, "taxonomy": self.taxonomy.hash}

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and draft.summary is None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        opinions = await ask_all(members(tools, "taggers"), self._messages(draft), self._reply)
        if not opinions:
            return Dropped(reason=DropReason.UNTAGGED)
        tags = tuple(self._tag(opinion) for opinion in opinions)
        return replace(draft, tags=tags, summary=self._summary(tags, draft))

    @cached_property
    def _taxonomy(self) -> Taxonomy:
        return shipped_taxonomy() if self.taxonomy is None else shipped_taxonomy().extended(self.taxonomy)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The domains on offer, in order; `other` is always among them for what the prompt with descriptions files."""
        if self.prompt == PLAIN:
            return self.domains or self._taxonomy.names()
        names = self.domains or self._taxonomy.names()
        return names if OTHER in names else (*names, OTHER)

    @cached_property
    def _subjects(self) -> dict[str, tuple[Subject, int]]:
        return {name: (subject, depth) for name, subject, depth in self._taxonomy.walk()}

    @cached_property
    def _reply(self) -> type[TagReply]:
        if self.prompt == PLAIN:
            return TagReply
        return tag_reply(self._names, tuple((name, self._taxonomy.labels[name].values) for name in self.labels))

    def _messages(self, draft: Draft) -> tuple[Message, ...]:
        texts = draft.query.user_turns
        if self.prompt == PLAIN:
            examples = [nearest_domain(name, self._names) for name in _EXAMPLES]
            return load_prompt(PLAIN).messages(texts=texts, domains=self._names, examples=examples)
        return load_prompt(self.prompt).messages(
            texts=texts,
            anchors=self._taxonomy.anchors(draft.query.category),
            subjects=[self._line(name) for name in self._names],
            labels={name: self._taxonomy.labels[name].model_dump() for name in self.labels},
        )

    def _line(self, name: str) -> tuple[str, str, int]:
        subject, depth = self._subjects.get(name, (Subject(), 0))
        return name, subject.about, 0 if self.domains else depth

    def _tag(self, opinion: Opinion[TagReply]) -> Tag:
        reply = opinion.value
        said = reply.labels if isinstance(reply, LabelledTagReply) else {}
        return Tag(
            model=opinion.model,
            difficulty=reply.difficulty,
            domain=nearest_domain(reply.domain, self._names),
            verifiable=reply.verifiable,
            call=opinion.calls[-1],
            labels={
                name: value
                for name in self.labels
                if (value := _nearest(str(said.get(name, "")), self._taxonomy.labels[name].values))
            },
        )

    def _summary(self, tags: Sequence[Tag], draft: Draft) -> TagSummary:
        difficulties = [tag.difficulty for tag in tags]
        checkable = draft.query.verifier is not None
        return TagSummary(
            difficulty=float(median(difficulties)),
            spread=max(difficulties) - min(difficulties),
            domain=self._majority([tag.domain for tag in tags], draft.query.category),
            verifiable=checkable or 2 * sum(tag.verifiable for tag in tags) > len(tags),
            labels={name: _most_frequent(said) for name in self.labels if (said := _said(tags, name))},
        )

    def _majority(self, names: Sequence[str], category: Category) -> str:
        """The most frequent domain; of equals one at home in the query's category, then the first; `other` last."""
        counts = Counter(names)
        order = (*(name for name in self._names if name != OTHER), OTHER)
        return max(order, key=lambda name: (counts[name], self._is_home(name, category)))

    def _is_home(self, name: str, category: Category) -> bool:
        return name in self._subjects and self._subjects[name][0].category is category


def nearest_domain(text: str, domains: Sequence[str]) -> str:
    """Return the domain that `text` names, also with a slip in spelling or as part of a name or path; else `other`."""
    wanted = " ".join(text.casefold().replace(">", "/").split())
    for part in (wanted, wanted.rpartition("/")[2].strip()):
        if found := _nearest(part, domains):
            return found
    words = set(wanted.split()) - {"and", "of", "the"}
    return next((name for name in domains if words & set(name.casefold().split())), OTHER)


def _nearest(text: str, names: Sequence[str]) -> str | None:
    """Return the name that `text` is, also with a slip in spelling; none where it is none."""
    wanted = " ".join(text.casefold().split())
    by_folded = {name.casefold(): name for name in names}
    if wanted in by_folded:
        return by_folded[wanted]
    close = get_close_matches(wanted, by_folded, n=1, cutoff=0.8)
    return by_folded[close[0]] if close else None


def _said(tags: Sequence[Tag], label: str) -> list[str]:
    return [tag.labels[label] for tag in tags if label in tag.labels]


def _most_frequent(values: Sequence[str]) -> str:
    """The value that most taggers give; of equals the one that was given first."""
    counts = Counter(values)
    return max(counts, key=counts.__getitem__)
