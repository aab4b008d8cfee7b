"""Answers gone wrong, one by one or as a seeded share of all requests."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kat_data.domain.call import Reply
from kat_data.hashing import canonical_json, draw, fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One answer gone wrong: an HTTP status, a body that is no JSON, a connection dropped, or silence without end.

    `late` is for requests that change something: they do it first, and only their answer is lost.
    """

    kind: Literal["status", "malformed", "drop", "hang"] = "status"
    status: int = 500
    text: str = "scripted fault"
    headers: Mapping[str, str] = field(default_factory=dict)
    late: bool = False

    @property
    def outcome(self) -> str:
        """What a log says of it: the status, or the kind."""
        return str(self.status) if self.kind == "status" else self.kind


ServerScript = Callable[[dict[str, Any]], Reply | str | Fault]
"""Answers a request's decoded body with a reply, with the text of a finished one, or with a fault."""

ALL_KINDS = (
    Fault(status=429, text="too many requests", headers={"Retry-After": "0.2"}),
    Fault(status=500),
    Fault(kind="malformed"),
    Fault(kind="drop"),
    Fault(kind="hang"),
)


class Unreliable:
    """A script that meets a share of the requests with faults, and leaves the others to another script.

    Which ones hangs on the seed, the body and how often it came before: the same requests in another order fare the
    same, and a request that is tried again has a new chance.
    """

    def __init__(
        self, script: ServerScript, share: float, *, seed: int = 0, faults: Sequence[Fault] = ALL_KINDS
    ) -> None:
        self._script = script
        self._share = share
        self._seed = seed
        self._faults = faults
        self._tries: Counter[bytes] = Counter()

    def __call__(self, body: dict[str, Any]) -> Reply | str | Fault:
        asked = canonical_json(body)
        chance = (asked, str(self._tries[asked]))
        self._tries[asked] += 1
        if fraction(self._seed, "fault", *chance) >= self._share:
            return self._script(body)
        return self._faults[draw(self._seed, "kind", *chance) % len(self._faults)]
