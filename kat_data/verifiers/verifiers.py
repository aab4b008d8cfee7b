"""All verifiers behind one call: the query's own spec says which of them decides."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query, VerifierKind
from kat_data.domain.verdict import Verdict
from kat_data.verifiers.choice import ChoiceVerifier
from kat_data.verifiers.code import CodeVerifier
from kat_data.verifiers.format import FormatVerifier
from kat_data.verifiers.keyword import KeywordVerifier
from kat_data.verifiers.math import MathVerifier
from kat_data.verifiers.math_pool import MathPool
from kat_data.verifiers.tool_call import ToolCallVerifier
from kat_data.verifiers.verifier import Verifier

_THREADS = 8


class Verifiers:
    """Verifies candidates by their queries' own verifiers; safe from any thread, and awaitable through `__call__`.

    Worker processes start with the first answer that needs one, and `close` ends them.
    """

    def __init__(self, pool: MathPool | None = None) -> None:
        self._pool = pool or MathPool()
        self._made: dict[VerifierKind, Verifier] = {}
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def verify(self, query: Query, candidate: Candidate) -> Verdict | None:
        """Return the verdict, or none where the query has no verifier; may block for seconds, or raise as they do."""
        return self._verifier(query.verifier.kind).verify(query, candidate) if query.verifier else None

    async def __call__(self, query: Query, candidate: Candidate) -> Verdict | None:
        """Do as `verify`, in a thread of its own pool, so that the event loop goes on."""
        if query.verifier is None:
            return None
        with self._lock:
            self._threads = self._threads or ThreadPoolExecutor(_THREADS, thread_name_prefix="verify")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.verify, query, candidate)

    def close(self) -> None:
        """Wait for verifications under way and end the worker processes."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
        self._pool.close()

    def __enter__(self) -> "Verifiers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _verifier(self, kind: VerifierKind) -> Verifier:
        with self._lock:
            if kind not in self._made:
                self._made[kind] = self._makers()[kind]()
            return self._made[kind]

    def _makers(self) -> dict[VerifierKind, Callable[[], Verifier]]:
        return {
            VerifierKind.MATH: lambda: MathVerifier(self._pool),
            VerifierKind.CHOICE: ChoiceVerifier,
            VerifierKind.CODE: CodeVerifier,
            VerifierKind.TOOL_CALL: ToolCallVerifier,
            VerifierKind.KEYWORD: KeywordVerifier,
            VerifierKind.FORMAT: FormatVerifier,
        }
