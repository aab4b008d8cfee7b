"""The workspace: files follow from calls, programs go to the sandbox, and paths stay within."""

from dataclasses import replace

import pytest

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.drop import DropReason
from kat_data.domain.execution import Execution
from kat_data.domain.mode import Mode
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.sandbox.base import Language
from kat_data.stages.develop import Develop
from kat_data.stages.environments.workspace import files_of, path_fault, solution_verdict_candidate
from kat_data.stages.observe import Observe
from kat_data.testing import a_candidate, a_draft, a_query, a_verdict
from kat_data.verifiers.code.extract import program

QUERY = a_query(
    "Write add(a, b).",
    reference=None,
    category=Category.CODE,
    verifier=VerifierSpec(kind=VerifierKind.CODE, options={"tests": ["assert add(1, 2) == 3"], "entry": "add"}),
)


def write(path: str = "solution.py", content: str = "def add(a, b):\n    return a + b\n") -> ToolCall:
    return ToolCall(name="write_file", arguments={"path": path, "content": content})


READ = ToolCall(name="read_file", arguments={"path": "solution.py"})
RUN = ToolCall(name="run_python", arguments={"code": "print(1)"})
TEST = ToolCall(name="run_tests", arguments={})


@pytest.fixture
def accepted(chosen):
    def build(*calls: ToolCall, turns=()):
        candidate = a_candidate("I work.", tool_calls=calls, verdicts=(a_verdict(),))
        draft = chosen(Mode.OFF, QUERY, candidates=(candidate,), accepted=0, turns=turns)
        return Develop().prepare(draft, 7)

    return build


@pytest.fixture
def work(accepted, tools):
    async def results(*calls: ToolCall, turns=(), **given):
        found = await Observe().run(accepted(*calls, turns=turns), tools(**given))
        return getattr(found, "results", found)

    return results


async def test_calls_are_done_in_order_on_what_the_turns_before_left(work, accepted):
    assert await work(READ, write(), READ) == (
        "error: there is no file solution.py; there is none yet",
        "wrote solution.py: 2 lines",
        "def add(a, b):\n    return a + b",
    )
    turn = replace(accepted(write("lib/a.py", "x = 1")), results=("wrote",)).finish_turn().turns[0]
    assert await work(READ, turns=(turn,)) == ("error: there is no file solution.py; there are lib/a.py",)


async def test_programs_run_beside_the_files(work):
    seen = []

    async def execute(files, source):
        seen.append((dict(files), source))
        return Execution(output="1", trouble="exit status 1")

    assert await work(write(), RUN, execute=execute) == ("wrote solution.py: 2 lines", "1\nerror: exit status 1")
    assert seen == [({"solution.py": write().arguments["content"]}, "print(1)")]


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (
            Verdict(outcome=Outcome.CORRECT, status=Status.PASSED, verifier="code", evidence={"of": 3}),
            "all 3 tests passed",
        ),
        (
            Verdict(
                outcome=Outcome.INCORRECT,
                status=Status.FAILED,
                verifier="code",
                evidence={"passed": 1, "of": 3, "reason": "test 2: 4 is not 5"},
            ),
            "1 of 3 tests passed; then: test 2: 4 is not 5",
        ),
        (Verdict(outcome=Outcome.UNDECIDED, status=Status.UNPARSABLE, verifier="code"), "then: unparsable"),
    ],
)
async def test_tests_tell_how_many_passed(work, verdict, told):
    answer = solution_verdict_candidate(write().arguments["content"], Mode.OFF).answer
    assert (await work(write(), TEST, verdicts={answer: verdict}))[1] == told


async def test_without_a_solution_there_is_nothing_to_test(work):
    assert await work(TEST) == ("error: there is no file solution.py; there is none yet",)


async def test_without_a_sandbox_nothing_runs(work):
    assert (await work(RUN)).reason is DropReason.NO_SANDBOX
    unverified = Verdict(outcome=Outcome.UNDECIDED, status=Status.NOT_VERIFIED, verifier="code")
    answer = solution_verdict_candidate(write().arguments["content"], Mode.OFF).answer
    assert (await work(write(), TEST, verdicts={answer: unverified})).reason is DropReason.NO_SANDBOX


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "", "a b", "a//b", "x" * 101, "a/", "a\n"])
async def test_paths_stay_within_the_workspace(work, path):
    assert path_fault(write(path)) is not None
    [result] = await work(write(path))
    assert result.startswith("error: the path must lie within")
    draft = a_draft(QUERY)
    assert files_of(draft) == {}


async def test_a_file_has_a_limit(work):
    assert (await work(write(content="x" * 20_001)))[0] == "error: the content is longer than 20000 characters"


@pytest.mark.parametrize("source", ["print(1)", 's = """\n```\n"""\n', "````"])
def test_the_solution_reaches_the_verifier_whole(source):
    candidate: Candidate = solution_verdict_candidate(source, Mode.OFF)
    assert program(candidate.answer, language=Language.PYTHON) == source.rstrip("\n") + "\n" * (
        1 + source.endswith("\n")
    )


def test_only_code_with_tests_in_python_is_equipped() -> None:
    equipped: Query = Develop().prepare(a_draft(QUERY), 7).equipment
    assert [tool["function"]["name"] for tool in equipped] == ["write_file", "read_file", "run_python", "run_tests"]
    others = (
        a_query(),
        replace(QUERY, tools=({"name": "f"},)),
        replace(QUERY, category=Category.SCIENCE),
        replace(QUERY, verifier=VerifierSpec(kind=VerifierKind.CODE, options={"language": "cpp"})),
    )
    assert not any(Develop().prepare(a_draft(query), 7).equipment for query in others)
    assert not Develop(only=(Category.MATH,)).prepare(a_draft(QUERY), 7).equipment
    some = [Develop(share=0.5).prepare(a_draft(QUERY), seed).equipment for seed in range(20)]
    assert 0 < sum(map(bool, some)) < 20
