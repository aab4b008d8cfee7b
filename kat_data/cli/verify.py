"""`kat verify`: verdicts on answers in JSON Lines, one line out for one line in, in the same order."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.tracked import tracked
from kat_data.cli.verdict_file import INFRA_ERROR, Judge, VerdictFile, verdicts
from kat_data.errors import InputError, VerifierFault
from kat_data.settings import SANDBOXES, Settings

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.group()
def verify() -> None:
    """Verify answers in files, without a run and without a database.

    IN and OUT are JSON Lines: each line of IN gives one line of OUT, in the same order. Called again with the same
    files, a command goes on where it was stopped, and judges the lines that were changed since. A line that cannot be
    read gives a line with its `error`: mend it, and call the command again.
    """


def _files(command: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (
        json_option,
        click.argument("out", type=_PATH),
        click.argument("in_", metavar="IN", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):
        command = decorate(command)
    return command


@verify.command()
@_files
def math(in_: Path, out: Path, as_json: bool) -> None:
    """Compare answers with their golds: {id, gold, answer} gives {id, status, layer, seconds}."""
    from kat_data.verifiers.math.pool import MathPool
    from kat_data.verifiers.math.verifier import grade

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        found = grade(_text(row, "gold"), _text(row, "answer"), pool)
        return {"status": found.status.value, "layer": found.layer, "seconds": round(found.seconds, 6)}

    with ExitStack() as parts:
        pool = MathPool()
        parts.callback(pool.close)
        _verify(in_, out, judge, "status", as_json, threads=pool.size)


@verify.command()
@_files
def choice(in_: Path, out: Path, as_json: bool) -> None:
    """Compare chosen options: {id, reference, answer, choices?} gives {id, status, reward, chosen, seconds}."""
    from kat_data.verifiers.choice.verifier import decide_choice

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        verdict = decide_choice(_text(row, "answer"), _text(row, "reference", "gold"), row.get("choices") or ())
        return {"status": verdict.status.value, "reward": verdict.reward, "chosen": verdict.evidence.get("answer")}

    _verify(in_, out, judge, "status", as_json)


@verify.command()
@_files
def tools(in_: Path, out: Path, as_json: bool) -> None:
    """Compare tool calls: {id, possible, calls, tools?, ordered?} gives {id, status, reward, differences, seconds}."""
    from kat_data.verifiers.tool_call.verifier import decide_calls

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        possible, calls = _first(row, "possible", "ground_truth"), _first(row, "calls", "tool_calls")
        verdict = decide_calls(
            calls,
            possible,
            tools=row.get("tools") or (),
            ordered=row.get("ordered") is True,
            text=row.get("answer") or "",
        )
        differences = verdict.evidence.get("differences", [])
        return {"status": verdict.status.value, "reward": verdict.reward, "differences": differences}

    _verify(in_, out, judge, "status", as_json)


@verify.command()
@click.option("--sandbox", "kind", type=click.Choice(SANDBOXES), help="Instead of what KAT_SANDBOX says.")
@click.option(
    "--function-mode",
    type=click.Choice(["auto", "data", "tester"]),
    default="auto",
    help="data: results are compared here; tester: tests run in their own process; auto: data where that is possible.",
)
@_files
def code(in_: Path, out: Path, kind: str | None, function_mode: str, as_json: bool) -> None:
    """Run programs: {id, mode, source, entry?, tests?, cases?, limits?} gives {id, verdict, reward, evidence, seconds}.

    `seconds` is the time of judging; waiting for a slot, or for its start, is not in it. The verdict is passed, failed,
    timeout, memory, output_limit or crashed; invalid_task where the task itself is wrong, and infra_error where the
    sandbox broke again and again, which the next call tries again.
    """
    from kat_data.cli.sandbox import open_from
    from kat_data.verifiers.code.judge import judge_program
    from kat_data.verifiers.code.task import FunctionMode, parse_job

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        job = parse_job(row, FunctionMode(function_mode))
        start = time.monotonic() - sandbox.waited
        found = judge_program(sandbox, job.task, job.source)
        seconds = round(time.monotonic() - sandbox.waited - start, 6)
        verdict = {"verdict": found.verdict.value, "reward": found.reward, "evidence": found.evidence}
        return {**verdict, "seconds": seconds}

    settings = Settings.load()
    sandbox = open_from(settings, kind)
    with ExitStack() as parts:
        parts.callback(sandbox.close)
        how = f"{sandbox.name} {function_mode}"
        _verify(in_, out, judge, "verdict", as_json, threads=settings.sandbox_slots, how=how)


def _verify(in_: Path, out: Path, judge: Judge, word: str, as_json: bool, *, threads: int = 1, how: str = "") -> None:
    """Write a verdict for each line of `in_` to `out` and print how many of each there are."""
    with VerdictFile(in_, out, word, how) as file:
        with closing(verdicts(file.rest(), judge, word, threads=threads)) as rows:
            for row in tracked(rows, file.lines, "verdicts", done=file.done):
                file.write(row)
        counts = file.counts
    if as_json:
        print_json(dict(counts))
    else:
        print_table([word, "lines"], sorted(counts.items()))
        say(f"verdicts on {sum(counts.values())} lines are in {out}")
    if broken := counts.get(INFRA_ERROR):
        raise VerifierFault(f"the sandbox broke on {broken} lines: the same command tries them again")
    if bad := counts.get("error"):
        raise InputError(
            f"{bad} lines cannot be read: `error` in {out} says why; mend them, and call the command again"
        )


def _text(row: dict[str, Any], *names: str) -> str:
    found = _first(row, *names)
    if not isinstance(found, str):
        raise InputError(f"`{names[0]}` has to be text")
    return found


def _first(row: dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise InputError(f"`{names[0]}` is missing")
