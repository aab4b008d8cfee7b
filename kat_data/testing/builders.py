"""Records with sensible defaults: a test names only the fields that it is about."""

from typing import Any

from kat_data.domain.call import CallRequest, FinishReason, Price, Reply, Sampling, Usage
from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.llm.bound_model import BoundModel
from kat_data.llm.budget import Budget
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.gateway import Gateway
from kat_data.llm.ledger import Ledger, MemoryLedger
from kat_data.testing.scripted_client import Script, ScriptedClient


def a_conversation(*texts: str, system: str | None = None) -> tuple[Message, ...]:
    """Build messages from texts that alternate between user and assistant, user first."""
    speakers = (Role.USER, Role.ASSISTANT)
    turns = tuple(Message(role=speakers[i % 2], content=text) for i, text in enumerate(texts))
    return turns if system is None else (Message(role=Role.SYSTEM, content=system), *turns)


def a_query(*texts: str, reference: str | None = "42", system: str | None = None, **fields: Any) -> Query:
    """Build a maths query, with a maths verifier where it has a reference."""
    verifier = VerifierSpec(kind=VerifierKind.MATH) if reference is not None else None
    defaults: dict[str, Any] = {
        "category": Category.MATH,
        "source": "test",
        "licence": "Apache-2.0",
        "verifier": verifier,
    }
    messages = a_conversation(*(texts or ("What is 6 * 7?",)), system=system)
    return Query(messages=messages, reference=reference, **(defaults | fields))


def a_request(*texts: str, **fields: Any) -> CallRequest:
    """Build a request for a reply to a conversation of `texts`."""
    defaults: dict[str, Any] = {
        "model": "scripted",
        "sampling": Sampling(),
        "messages": a_conversation(*(texts or ("Hello",))),
    }
    return CallRequest(**(defaults | fields))


def a_reply(text: str = "42", *, prompt_tokens: int = 10, completion_tokens: int = 5, **fields: Any) -> Reply:
    """Build a finished reply with counted tokens."""
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    defaults: dict[str, Any] = {"finish_reason": FinishReason.STOP, "usage": usage}
    return Reply(text=text, **(defaults | fields))


def a_verdict(outcome: Outcome = Outcome.CORRECT, status: Status | None = None, verifier: str = "test") -> Verdict:
    """Build a verdict; its status is its outcome's own unless given."""
    own = {Outcome.CORRECT: Status.CORRECT, Outcome.INCORRECT: Status.INCORRECT, Outcome.UNDECIDED: Status.UNPARSABLE}
    return Verdict(outcome=outcome, status=status or own[outcome], verifier=verifier)


def a_candidate(answer: str = r"\boxed{42}", *, thinking: str = "", **fields: Any) -> Candidate:
    """Build a candidate, think-on where it has thinking."""
    defaults: dict[str, Any] = {
        "position": 0,
        "mode": Mode.ON if thinking else Mode.OFF,
        "model": "scripted",
        "calls": ("00" * 32,),
    }
    return Candidate(answer=answer, thinking=thinking, **(defaults | fields))


def a_draft(query: Query | None = None, **fields: Any) -> Draft:
    """Build a draft that no stage has seen."""
    return Draft(query=query or a_query(), **fields)


def a_sample(*turns: Turn, system: str | None = None, tools: tuple[dict[str, Any], ...] = ()) -> Sample:
    """Build a sample; without turns it has one, think-off."""
    turn = Turn(user="What is 6 * 7?", judge_analysis="It is simple.", mode=Mode.OFF, thinking="", answer="42")
    return Sample(system=system, tools=tools, turns=turns or (turn,))


def a_model(
    script: Script,
    *,
    price: Price | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    **fields: Any,
) -> BoundModel:
    """Build a role member whose replies come from `script` through a real gateway."""
    gateway = Gateway([Endpoint("scripted", ScriptedClient(script))], ledger or MemoryLedger(), budget=budget)
    defaults: dict[str, Any] = {
        "endpoint": "scripted",
        "name": "scripted",
        "sampling": Sampling(),
        "price": price or Price(),
    }
    return BoundModel(gateway=gateway, **(defaults | fields))
