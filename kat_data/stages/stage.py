"""What a stage is: one transformation of a draft, its options validated by the recipe."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.contamination import Contamination
from kat_data.domain.crowding import Crowding
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.domain.duplicate import NearDuplicate
from kat_data.domain.equivalence import Equivalence
from kat_data.domain.execution import Execution
from kat_data.domain.held import Held
from kat_data.domain.query import Query, VerifierKind
from kat_data.domain.verdict import Verdict
from kat_data.llm.model import Model


class Verify(Protocol):
    """Verify a candidate by the query's own verifier, off the event loop.

    None where no verifier of that kind is at hand.
    """

    async def __call__(self, query: Query, candidate: Candidate) -> Verdict | None: ...


class Admit(Protocol):
    """Say why a query's task cannot be used by its own verifier; none where it can be, or where nobody can tell."""

    async def __call__(self, query: Query) -> str | None: ...


class Compare(Protocol):
    """Have models say whether an answer states the reference's result: an opinion, and never a reward."""

    async def __call__(self, *, task: str, reference: str, answer: str, judges: Sequence[Model]) -> Verdict: ...


class Group(Protocol):
    """Sort replies to one query into classes of equal answers, by the query's verifier, off the event loop."""

    async def __call__(self, query: Query, answers: Sequence[str]) -> Equivalence: ...


class Index(Protocol):
    """What is known of a query from a look at the whole registry."""

    def contamination(self, query: Query) -> tuple[Contamination, ...]:
        """Return the benchmarks' items that the query holds and nobody allowed, the surest first."""
        ...

    def near_duplicate(self, query: Query) -> NearDuplicate | None:
        """Return the query that stays in place of this one, by the recipe's options; none where it stays itself."""
        ...

    def crowding(self, query: Query) -> Crowding | None:
        """Return the semantic cluster of the run in which the query is one too many; none where it stays."""
        ...


class Execute(Protocol):
    """Run a Python program beside the files of a workspace, in the sandbox; none where there is no sandbox."""

    async def __call__(self, files: Mapping[str, str], source: str) -> Execution | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Everything a stage may use beside its draft: models by role, verifiers, the registry's index, the run's seed."""

    models: Mapping[str, tuple[Model, ...]]
    verify: Verify
    admit: Admit
    compare: Compare
    group: Group
    execute: Execute
    index: Index
    seed: int


class Kind(StrEnum):
    """What a stage's work is bound by; a fleet may give each kind machines of its own."""

    CPU = "cpu"
    LLM = "llm"
    VERIFY = "verify"


class Stage(BaseModel, ABC):
    """One transformation: a draft in, a fuller draft or a `Dropped` out; a set stage answers `Held`.

    Subclasses are frozen records of their options. `roles` are the recipe's roles that the stage calls, `prompts` the
    names of the prompts it may send; `per_turn` says that it runs again for every assistant turn, `observes` that it
    finds out what an answer's tool calls give; `verifiers` are the kinds of verifiers that it calls; `only` restricts
    it to some categories. `follows` holds groups of stages that do the same work: a recipe has one of each group at
    least, and all that it has of them stand before this stage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.LLM
    roles: ClassVar[tuple[str, ...]] = ()
    prompts: ClassVar[tuple[str, ...]] = ()
    per_turn: ClassVar[bool] = True
    observes: ClassVar[bool] = False
    follows: ClassVar[tuple[tuple[str, ...], ...]] = ()
    precedes: ClassVar[tuple[str, ...]] = ()
    verifiers: ClassVar[tuple[VerifierKind, ...]] = ()

    only: tuple[Category, ...] = ()

    def needed_roles(self) -> tuple[str, ...]:
        """Return the roles that the stage calls with these options."""
        return self.roles

    def files(self) -> dict[str, str]:
        """Return the shipped data files that decide what the stage does, by name with their hashes: part of the run."""
        return {}

    def applies(self, draft: Draft) -> bool:
        """Whether the draft needs this stage at all; refined by stages that serve one mode."""
        return self.serves(draft.query.category)

    def serves(self, category: Category) -> bool:
        """Whether the stage takes queries of this category."""
        return not self.only or category in self.only

    def prepare(self, draft: Draft, seed: int) -> Draft:
        """Return the draft with what the recipe adds to its query, before any stage sees it.

        It follows from query, options and seed alone, so that it is the same after every restart.
        """
        return draft

    def refuse(self, draft: Draft) -> Dropped | None:
        """Refuse a draft that the stage could never bring to an end, before anything is paid for it."""
        return None

    @abstractmethod
    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped | Held: ...
