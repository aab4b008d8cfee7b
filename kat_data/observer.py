"""The seam to measurements: parts say what only their process knows, and composition roots say who listens."""

from typing import Protocol


class Observer(Protocol):
    """Is told of single events on hot paths: it is quick, never raises, and may be called from any thread.

    `tried` is one request to an endpoint, `outcome` as `llm.observed_client` words it. `reused` is a call that the
    ledger or another caller had answered already. `committed` is one group of operations that shared a transaction.
    `staged` is one try of a stage, `verified` one answer judged, the wait for a free thread included.
    """

    def tried(
        self,
        endpoint: str,
        model: str,
        outcome: str,
        seconds: float,
        *,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None: ...

    def reused(self, endpoint: str, model: str) -> None: ...

    def committed(self, kind: str, operations: int, seconds: float) -> None: ...

    def staged(self, stage: str, outcome: str, seconds: float) -> None: ...

    def verified(self, verifier: str, seconds: float) -> None: ...


class Unobserved:
    """Nobody listens."""

    def tried(
        self,
        endpoint: str,
        model: str,
        outcome: str,
        seconds: float,
        *,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None: ...

    def reused(self, endpoint: str, model: str) -> None: ...

    def committed(self, kind: str, operations: int, seconds: float) -> None: ...

    def staged(self, stage: str, outcome: str, seconds: float) -> None: ...

    def verified(self, verifier: str, seconds: float) -> None: ...


UNOBSERVED = Unobserved()
