"""Soft labels (§4.1.2): a reference that several models' answers agree on, where the source gives none."""

from dataclasses import dataclass, replace

from kat_data.domain.query import Query, ReferenceOrigin, VerifierSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAnswer:
    """One labeller's answer: its final answer as text and its ledger call, hex.

    `rank` is the place of its class among the classes of equal answers, 0 for the largest; none where it states no
    value, and then `fault` says why.
    """

    model: str
    answer: str
    rank: int | None
    call: str
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftLabel:
    """What the labellers' answers say together; `reference` is none where they agree too little.

    `confidence` is the share of the largest class in all answers, unreadable ones included; `weighted` the same with
    every model counting as one, however many answers it gave. `verifier` says how answers are compared.
    """

    reference: str | None
    verifier: VerifierSpec
    confidence: float
    weighted: float
    answers: tuple[LabelAnswer, ...]


def with_soft_label(query: Query, label: SoftLabel) -> Query:
    """Return the run's own copy of `query` with the label as its reference, marked as soft; its hash stays."""
    if label.reference is None:
        return query
    return replace(query, reference=label.reference, verifier=label.verifier, reference_origin=ReferenceOrigin.SOFT)
