"""Dispatch to verifiers: all of them behind one call, and the query's own spec says which decides."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, TypeVar

from kat_data.domain.candidate import Candidate
from kat_data.domain.equivalence import Equivalence
from kat_data.domain.execution import Execution
from kat_data.domain.query import Query, ReferenceOrigin, VerifierKind
from kat_data.domain.verdict import Verdict, as_opinion
from kat_data.sandbox.base import Sandbox
from kat_data.verifiers.choice.grouping import group_choices
from kat_data.verifiers.choice.verifier import ChoiceVerifier
from kat_data.verifiers.classifier import ClassifierVerifier
from kat_data.verifiers.code.execution import execute
from kat_data.verifiers.code.verifier import CodeVerifier
from kat_data.verifiers.format.verifier import FormatVerifier
from kat_data.verifiers.keyword import KeywordVerifier
from kat_data.verifiers.math.equivalence import group_answers
from kat_data.verifiers.math.pool import MathPool
from kat_data.verifiers.math.verifier import MathVerifier
from kat_data.verifiers.tool_call.verifier import ToolCallVerifier
from kat_data.verifiers.verifier import Verifier

NAMES: Mapping[VerifierKind, str] = MappingProxyType(
    {
        VerifierKind.MATH: MathVerifier.name,
        VerifierKind.CHOICE: ChoiceVerifier.name,
        VerifierKind.CODE: CodeVerifier.name,
        VerifierKind.TOOL_CALL: ToolCallVerifier.name,
        VerifierKind.KEYWORD: KeywordVerifier.name,
        VerifierKind.FORMAT: FormatVerifier.name,
        VerifierKind.CLASSIFIER: ClassifierVerifier.name,
    }
)
"""The verifier of each kind as verdicts cite it: a name, and a version that changes whenever verdicts do."""

_THREADS = 8
Result = TypeVar("Result")


class Verifiers:
    """Verifies candidates by their queries' own verifiers; safe from any thread, and awaitable through `__call__`.

    Worker processes start with the first answer that needs one, and `close` ends them.
    """

    def __init__(self, pool: MathPool | None = None, open_sandbox: Callable[[], Sandbox | None] = lambda: None) -> None:
        """`open_sandbox` is called with the first program; where it gives none, programs are not verified."""
        self._pool = pool or MathPool()
        self._open_sandbox = open_sandbox
        self._sandbox: Sandbox | None = None
        self._made: dict[VerifierKind, Verifier] = {}
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def verify(self, query: Query, candidate: Candidate) -> Verdict | None:
        """Return the verdict, or none where the query has no verifier; may block for seconds, or raise as they do.

        Against a soft reference, which models agreed on, it is an opinion: an outcome without a reward.
        """
        if query.verifier is None:
            return None
        verdict = self._verifier(query.verifier.kind).verify(query, candidate)
        return as_opinion(verdict) if query.reference_origin is ReferenceOrigin.SOFT else verdict

    async def __call__(self, query: Query, candidate: Candidate) -> Verdict | None:
        """Do as `verify`, in a thread of its own pool, so that the event loop goes on."""
        return None if query.verifier is None else await self._in_thread(self.verify, query, candidate)

    async def admit(self, query: Query) -> str | None:
        """Return why the query's task cannot be used by its own verifier; none where it can, or nobody can tell."""
        if query.verifier is None or query.verifier.kind is not VerifierKind.CODE:
            return None
        return await self._in_thread(lambda: self._code().admit(query))

    async def group(self, query: Query, answers: Sequence[str]) -> Equivalence:
        """Return the classes of equal answers to a query whose verifier is `math` or `choice`."""
        return await self._in_thread(self._group, query, answers)

    def _group(self, query: Query, answers: Sequence[str]) -> Equivalence:
        spec = query.verifier
        if spec is not None and spec.kind is VerifierKind.MATH:
            return group_answers(answers, self._pool)
        if spec is not None and spec.kind is VerifierKind.CHOICE:
            return group_choices(answers, [str(choice) for choice in spec.options.get("choices", [])])
        raise ValueError("answers are grouped by the verifiers math and choice alone")

    async def execute(self, files: Mapping[str, str], source: str) -> Execution | None:
        """Run a Python program beside `files` in the sandbox, in a thread; none where there is no sandbox."""
        return await self._in_thread(self._execute, files, source)

    def _execute(self, files: Mapping[str, str], source: str) -> Execution | None:
        self._code()  # which opens the sandbox
        return None if self._sandbox is None else execute(self._sandbox, files, source)

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        if self._threads is None:  # on the loop alone, so no lock, which opening a sandbox may hold for long
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="verify")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def close(self) -> None:
        """Wait for verifications under way and end the worker processes."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
        self._pool.close()
        if self._sandbox is not None:
            self._sandbox.close()

    def __enter__(self) -> "Verifiers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _verifier(self, kind: VerifierKind) -> Verifier:
        with self._lock:
            if kind not in self._made:
                self._made[kind] = self._makers()[kind]()
            return self._made[kind]

    def _code(self) -> CodeVerifier:
        verifier = self._verifier(VerifierKind.CODE)
        assert isinstance(verifier, CodeVerifier)
        return verifier

    def _make_code(self) -> CodeVerifier:
        self._sandbox = self._open_sandbox()
        return CodeVerifier(self._sandbox)

    def _makers(self) -> dict[VerifierKind, Callable[[], Verifier]]:
        return {
            VerifierKind.MATH: lambda: MathVerifier(self._pool),
            VerifierKind.CHOICE: ChoiceVerifier,
            VerifierKind.CODE: self._make_code,
            VerifierKind.TOOL_CALL: ToolCallVerifier,
            VerifierKind.KEYWORD: KeywordVerifier,
            VerifierKind.FORMAT: FormatVerifier,
            VerifierKind.CLASSIFIER: ClassifierVerifier,
        }
