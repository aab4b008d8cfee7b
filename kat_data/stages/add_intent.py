"""Add directives to queries, so that models learn to obey users who ask for a mode (§6.4)."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kat_data.domain.category import Category
from kat_data.domain.directive import directive
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.domain.intent import Intent, Place
from kat_data.domain.mode import Mode
from kat_data.domain.template import unholdable
from kat_data.domain.text import fold
from kat_data.hashing import draw, fraction
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.asking import ask_first, members
from kat_data.stages.parts.replies import ParaphraseReply
from kat_data.stages.parts.wordings import language_of, load_wordings, wordings_hash
from kat_data.stages.stage import Stage, Tools

_DRAWS = 8
_LONGEST = 200


class AddIntent(Stage):
    """Give a share of the queries a user who says whether to think; the mode then follows from it.

    The words stand in what models are sent and samples hold; the query itself stays as it is. A query whose user says
    so already is left alone, and so is one in which the wish could not be understood, inside a code block for instance.
    """

    name: ClassVar[str] = "add_intent"
    prompts: ClassVar[tuple[str, ...]] = ("paraphrase.v1",)
    per_turn: ClassVar[bool] = False
    precedes: ClassVar[tuple[str, ...]] = ("vote_mode", "route_mode")

    share: float = Field(0.05, ge=0, le=1, description="The share of queries that get a directive.")
    shares: dict[Category, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="Shares of the categories that have their own."
    )
    on_share: float = Field(0.5, ge=0, le=1, description="The share of the directives that ask for think-on.")
    turn: Literal["last", "any"] = Field("last", description="Which of a conversation's messages can hold it.")
    places: tuple[Place, ...] = Field(
        tuple(Place), min_length=1, description="Where a directive can stand; each is as likely as the others."
    )
    paraphrase: float = Field(
        0.0, ge=0, le=1, description="The share of the directives that the paraphraser rewrites for variety."
    )
    wordings: Literal["v1"] = Field("v1", description="The version of the shipped wordings.")

    def needed_roles(self) -> tuple[str, ...]:
        return ("paraphraser",) if self.paraphrase else ()

    def files(self) -> dict[str, str]:
        return {f"intents.{self.wordings}.yaml": wordings_hash(self.wordings)}

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and draft.intent is None and self._share_of(draft.query.category) > 0

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        dice = _Dice(seed=tools.seed, query=draft.query.hash)
        if dice.fraction("share") >= self._share_of(draft.query.category):
            return draft
        if any(directive(text) for text in draft.query.user_turns):
            return draft
        intent = next((found for n in range(_DRAWS) if heard(draft, found := self._drawn(draft, dice, n))), None)
        if intent is None:
            return draft
        if dice.fraction("paraphrase") < self.paraphrase:
            intent = await self._rewritten(draft, intent, tools)
        return replace(draft, intent=intent)

    def _share_of(self, category: Category) -> float:
        return self.shares.get(category, self.share)

    def _drawn(self, draft: Draft, dice: "_Dice", number: int) -> Intent:
        turns = len(draft.query.user_turns)
        turn = turns - 1 if self.turn == "last" else dice.draw("turn") % turns
        mode = Mode.ON if dice.fraction("mode") < self.on_share else Mode.OFF
        place = self.places[dice.draw("place", number) % len(self.places)]
        found = load_wordings(self.wordings)[language_of(draft.query.user_turns[turn]), mode]
        texts = found.system if place is Place.SYSTEM else found.user
        text = texts[dice.draw("wording", number) % len(texts)]
        return Intent(turn=0 if place is Place.SYSTEM else turn, mode=mode, place=place, text=text, wording=text)

    async def _rewritten(self, draft: Draft, intent: Intent, tools: Tools) -> Intent:
        """Return the intent in the paraphraser's words where they still say it, else in its own."""
        messages = load_prompt("paraphrase.v1").messages(
            text=intent.wording, message=draft.query.user_turns[intent.turn], mode=intent.mode.value
        )
        opinion = await ask_first(members(tools, "paraphraser"), messages, ParaphraseReply)
        if opinion is None:
            return intent
        text = fold(opinion.value.text)
        rewritten = replace(intent, text=text, call=opinion.calls[-1])
        fits = 0 < len(text) <= _LONGEST and unholdable(text) is None
        return rewritten if fits and heard(draft, rewritten) else intent


def heard(draft: Draft, intent: Intent) -> bool:
    """Whether the wish is understood where it stands."""
    if intent.place is Place.SYSTEM:
        text = intent.in_system(draft.query.system) or ""
    else:
        text = intent.in_user(draft.query.user_turns[intent.turn], intent.turn)
    return directive(text) is intent.mode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dice:
    """Draws that depend on the run's seed and the query alone."""

    seed: int
    query: bytes

    def fraction(self, what: str) -> float:
        return fraction(self.seed, f"add_intent.{what}", self.query)

    def draw(self, what: str, number: int = 0) -> int:
        return draw(self.seed, f"add_intent.{what}", self.query, str(number))
