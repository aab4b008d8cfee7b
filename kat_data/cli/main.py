"""`kat`: the shell of KAT Data. Nouns are loaded when they are called, so that `kat --help` is quick."""

import importlib
import io
import os
import sys
import traceback
from types import TracebackType
from typing import Any

import click

from kat_data import __version__
from kat_data.cli.output import printable
from kat_data.errors import KatError
from kat_data.redaction import redact

COMMANDS = {
    "benchmarks": ("kat_data.cli.benchmarks:benchmarks", "Import benchmarks that training data must not hold."),
    "calls": ("kat_data.cli.calls:calls", "Prune the bodies of old calls."),
    "config": ("kat_data.cli.config:config", "Show settings and where each came from."),
    "db": ("kat_data.cli.db:db", "Upgrade, inspect, back up or stop the database."),
    "decontaminate": ("kat_data.cli.decontaminate:decontaminate", "Find queries that come from a benchmark."),
    "deduplicate": ("kat_data.cli.deduplicate:deduplicate", "Find queries that are alike but for a few words."),
    "demo": ("kat_data.cli.demo:demo", "Run the whole job on the bundled queries, offline."),
    "doctor": ("kat_data.cli.doctor:doctor", "Look at what a run needs on this machine."),
    "jobs": ("kat_data.cli.jobs:jobs", "List, show and cancel jobs of the workers, such as snapshots."),
    "lineage": ("kat_data.cli.lineage:lineage", "Print the whole chain from source line to checkpoint."),
    "metrics": ("kat_data.cli.metrics:metrics", "Serve or print Prometheus metrics."),
    "models": ("kat_data.cli.models:models", "Check the endpoints of a recipe."),
    "queries": ("kat_data.cli.queries:queries", "Import, list and withdraw queries."),
    "recipes": ("kat_data.cli.recipes:recipes", "List, validate and describe recipes."),
    "run": ("kat_data.cli.run:run", "Run a recipe over the registry's queries."),
    "runs": ("kat_data.cli.runs:runs", "List, show, watch, resume and cancel runs; compare their modes."),
    "sandbox": ("kat_data.cli.sandbox:sandbox", "Build, check and clean up the sandbox that programs run in."),
    "samples": ("kat_data.cli.samples:samples", "List accepted samples and show their whole lineage."),
    "snapshots": ("kat_data.cli.snapshots:snapshots", "Create, list, verify and export snapshots."),
    "workers": ("kat_data.cli.workers:workers", "Show who works on the runs; start and stop the embedded broker."),
    "verify": ("kat_data.cli.verify:verify", "Verify answers in files: maths, programs, choices, tool calls."),
}

READER_GONE = 141  # 128 + SIGPIPE


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; where its output's reader went away, end as a shell's own commands do."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click's own code for it is 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still held goes there at the end
            sys.exit(READER_GONE)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kat")
def kat() -> None:
    """KAT Data: raw queries in, verified dual-mode training data for AutoThink models out."""


def main() -> None:
    """Run `kat` and exit with the error's own code: 2 bad input, 3 run stopped, 4 budget, 5 database or
    broker, 6 snapshot, 7 no sandbox."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr escapes by itself what it cannot encode
        sys.stdout.reconfigure(errors="replace")
    sys.excepthook = _tell_defect
    try:
        kat.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KatError as error:
        click.echo(f"kat: {printable(redact(str(error)))}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _tell_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an error that nobody expected, without the secrets that it may quote."""
    click.echo(redact("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)


if __name__ == "__main__":
    main()
