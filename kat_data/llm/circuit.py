"""When to stop asking an endpoint that only fails."""

from kat_data.errors import EndpointDown, EndpointRefused, RequestRejected, RunStopped
from kat_data.llm.client import Transient

_FAULTS_IN_A_ROW = 8
_REJECTIONS_IN_A_ROW = 16


class Circuit:
    """Counts what happens to the calls of one endpoint, and says when the run has to stop.

    It stops a run where one call found nobody listening in all its tries while no other call got through, where several
    calls in a row gave up, or where an endpoint that has never answered rejects request after request.
    """

    def __init__(self) -> None:
        self.answers = 0
        self._faults = 0
        self._rejections = 0
        self._given_up: set[bytes] = set()

    def answered(self) -> None:
        """Count an answer: the endpoint works."""
        self.answers += 1
        self._faults = 0

    def gave_up(self, error: Transient, key: bytes, *, answers_before: int) -> RunStopped | None:
        """Count a call that gave up on `error`; `answers_before` is what `answers` was when the call began.

        A request that gave up before tells nothing new of the endpoint: a run whose last items fail each time has to
        end with them, and not to stop.
        """
        again = key in self._given_up and not error.unreachable
        self._given_up.add(key)
        if again:
            return None
        self._faults += 1
        if self.answers != answers_before:
            return None
        if error.unreachable:
            return EndpointDown(f"{error}: start it, or correct its URL in the recipe, and run the recipe again")
        if self._faults < _FAULTS_IN_A_ROW:
            return None
        return EndpointDown(f"{error}, as did {self._faults - 1} calls before: mend the endpoint, then resume the run")

    def rejected(self, error: RequestRejected) -> RunStopped | None:
        """Count a request that the endpoint refused as such."""
        self._rejections += 1
        if self.answers or self._rejections < _REJECTIONS_IN_A_ROW:
            return None
        return EndpointRefused(f"{error}, and every other request too: correct the recipe's models or sampling")
