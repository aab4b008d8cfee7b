"""Every exception of KAT Data, in one tree; each class says what the caller can do.

KatError
├── UserError                 the input is wrong: correct it and call again
│   ├── ConfigError           a setting is unknown or malformed
│   ├── RecipeError           a recipe does not validate
│   ├── InputError            a file cannot be read as the preset asks
│   ├── TemplateError         text that the training template cannot hold
│   └── NotFoundError         no such run, sample or snapshot
├── RunStopped                the run cannot go on now; nothing is lost, resume it later
│   ├── EndpointRefused       401, 403 or an unknown model: mend the recipe or the key
│   ├── EndpointDown          the endpoint does not answer: start it
│   ├── BudgetExhausted       the hard cap is reached: raise it
│   ├── RecordingMiss         a recorded ledger lacks this call: record it or run live
│   ├── WorkerLost            this worker alone cannot go on (taken for dead, say): start another
│   └── RunInterrupted        someone asked it to stop: resume it when you like
├── BadReply                  a model answered, and the answer cannot be used
│   ├── ReplyCut              finish_reason was `length`
│   ├── ReplyEmpty            no text and no tool call
│   ├── ReplyMalformed        not what the schema asks
│   └── RequestRejected       the endpoint refuses this one request: too long, for instance
├── EndpointFault             a passing fault (429, 5xx, timeout) outlived its retries: retry later
├── VerifierFault             a verifier broke; never a verdict: retry on a fresh one
│   └── SandboxFault          slots were lost again and again: see to the engine, then retry
├── SandboxMissing            programs cannot be run here: the message says how they can
│   └── CompilerMissing       those of one language cannot, in a sandbox that is there
├── LeaseLost                 another worker owns the item now: drop the work
├── RegistryError             Postgres cannot be reached or started
├── BrokerError               the broker of the workers cannot be reached or started
└── SnapshotError             a snapshot cannot be written, or does not match its hashes
    └── SnapshotBusy          another process writes in its folder: wait and try again
"""

from typing import ClassVar


class KatError(Exception):
    """The root: its text is one clear line that says what to do; `exit_code` is the shell's."""

    exit_code = 1


class UserError(KatError):
    """The input is wrong; correct it and call again."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown or malformed."""


class RecipeError(UserError):
    """A recipe does not validate; `problems` has one line for each thing that is wrong with it."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class InputError(UserError):
    """A file cannot be read as its preset asks."""


class TemplateError(UserError):
    """A text cannot be held by the training template; the message names the field."""


class NotFoundError(UserError):
    """No run, sample, query or snapshot of that name."""


class RunStopped(KatError):
    """The run cannot go on now; what is finished is stored, and it can be resumed."""

    exit_code = 3


class EndpointRefused(RunStopped):
    """The endpoint refuses every call of this kind: wrong key, forbidden, or no such model."""


class EndpointDown(RunStopped):
    """The endpoint does not answer at all."""


class BudgetExhausted(RunStopped):
    """The next call could pass the run's hard cap in money or tokens."""

    exit_code = 4


class RecordingMiss(RunStopped):
    """A recorded ledger holds no reply for this call."""


class WorkerLost(RunStopped):
    """This worker cannot go on: the others take it for dead, or it lost what it works with; they have what it held."""


class RunInterrupted(RunStopped):
    """Someone asked the run to stop: Ctrl-C, or `kat runs cancel` in another shell."""


class BadReply(KatError):
    """A model answered with something that cannot be used; the reply is kept in the ledger.

    `calls` are the ledger keys, hex, of every call made for the answer, `tokens` their completion tokens; `code` is
    what `Candidate.fault` stores.
    """

    code: ClassVar[str] = "bad_reply"

    def __init__(self, message: str, *, calls: tuple[str, ...] = (), tokens: int = 0) -> None:
        super().__init__(message)
        self.calls = calls
        self.tokens = tokens


class ReplyCut(BadReply):
    """The reply was cut at the length limit (`finish_reason` is `length`)."""

    code = "reply_cut"


class ReplyEmpty(BadReply):
    """The reply holds neither text nor a tool call."""

    code = "reply_empty"


class ReplyMalformed(BadReply):
    """The reply does not follow the schema that was asked for, also after one repair."""

    code = "reply_malformed"


class RequestRejected(BadReply):
    """The endpoint refuses this one request (HTTP 400, 413 or 422), for instance as too long; nothing was paid."""

    code = "request_rejected"


class EndpointFault(KatError):
    """A passing fault of an endpoint (408, 429, 5xx, timeout, broken connection) outlived its retries."""


class VerifierFault(KatError):
    """A verifier broke or was killed from outside; retry it, never read it as a verdict."""


class SandboxFault(VerifierFault):
    """A sandbox lost its slots again and again, or was killed from outside; never a verdict."""


class SandboxMissing(KatError):
    """No sandbox is at hand; the message says how to get one."""

    exit_code = 7


class CompilerMissing(SandboxMissing):
    """The sandbox has no compiler for the program's language; others run."""


class LeaseLost(KatError):
    """The item's lease went to another worker; this worker's outputs were not written."""


class RegistryError(KatError):
    """Postgres cannot be reached, started or migrated."""

    exit_code = 5


class BrokerError(KatError):
    """The broker of the workers cannot be reached or started."""

    exit_code = 5


class SnapshotError(KatError):
    """A snapshot cannot be written, or its files do not match its manifest."""

    exit_code = 6


class SnapshotBusy(SnapshotError):
    """Another process is writing a snapshot of the same name: wait for it and try again."""


def stop_of(name: str | None) -> type[RunStopped]:
    """Return the kind of `RunStopped` that a stored run names; the general one where it names no such."""
    kind = globals().get(name or "")
    return kind if isinstance(kind, type) and issubclass(kind, RunStopped) else RunStopped
