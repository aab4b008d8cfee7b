"""Labels that models give a query: difficulty, domain, verifiability (§3.2, §4.1.2)."""

from dataclasses import dataclass, field

from kat_data.hashing import ADDED_LATER


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One model's labels for one query; `difficulty` is 1..10; `call` is the ledger key, hex.

    `labels` are the further ones that the recipe asks for (language, task, …), by name.
    """

    model: str
    difficulty: int
    domain: str
    verifiable: bool
    call: str
    labels: dict[str, str] = field(default_factory=dict, metadata=ADDED_LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSummary:
    """What several models' tags say together: median difficulty, majority domain and majority of each further label.

    `spread` is max - min of difficulty.
    """

    difficulty: float
    spread: int
    domain: str
    verifiable: bool
    labels: dict[str, str] = field(default_factory=dict)
