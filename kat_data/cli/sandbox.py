"""`kat sandbox`: build the image that programs run in, check that nothing gets out, remove what was left."""

import shutil
import subprocess
import sys
from importlib.resources import as_file, files
from typing import Any

import click

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.tracked import tracked
from kat_data.errors import KatError, SandboxMissing
from kat_data.settings import SANDBOXES, Settings


@click.group()
def sandbox() -> None:
    """Build, check and clean up the sandbox that programs run in."""


@sandbox.command()
@click.option("--offline", is_flag=True, help="From Debian's packages alone, without an image registry (needs root).")
@json_option
def build(offline: bool, as_json: bool) -> None:
    """Build the Docker image of the sandbox."""
    from kat_data.sandbox.docker import IMAGE

    with as_file(files("kat_data.sandbox") / "image") as folder:
        if offline:
            command = ["bash", str(folder / "build_offline.sh"), IMAGE]
        elif shutil.which("docker") is None:
            raise SandboxMissing("The docker command is not installed: install Docker, or use `bwrap` as the sandbox.")
        else:
            command = ["docker", "build", "--tag", IMAGE, str(folder)]
        # The tool's own lines are progress: with --json they must not stand on stdout.
        if subprocess.run(command, check=False, stdout=sys.stderr).returncode:  # noqa: S603
            raise KatError(f"{IMAGE} was not built: the lines above say why.")
    if as_json:
        print_json({"image": IMAGE})
    else:
        say(f"{IMAGE} is built; try it with `kat sandbox check`")


@sandbox.command()
@click.option("--sandbox", "kind", type=click.Choice(SANDBOXES), help="Instead of what KAT_SANDBOX says.")
@json_option
def check(kind: str | None, as_json: bool) -> None:
    """Run honest and hostile programs in the sandbox, and say of each whether it ended as it must.

    Exits with 1 where one did not.
    """
    from kat_data.verifiers.code.trial import count, trials

    settings = Settings.load()
    opened = open_from(settings, kind)
    try:
        if not opened.trusted:
            raise SandboxMissing("The sandbox none isolates nothing: use docker or bwrap.")
        found = list(tracked(trials(opened), count(), "programs"))
    finally:
        opened.close()
    failed = [trial for trial in found if not trial.ok]
    rows = [[trial.program, " or ".join(trial.allowed), trial.verdict, trial.detail[:200]] for trial in failed]
    if as_json:
        named = [dict(zip(("program", "expected", "verdict", "detail"), row, strict=True)) for row in rows]
        print_json({"sandbox": opened.name, "programs": len(found), "failed": named})
    else:
        if rows:
            print_table(["program", "must end as", "ended as", "because"], rows)
        say(f"{opened.name}: {len(found) - len(failed)} of {len(found)} programs ended as they must")
    if failed:
        raise click.exceptions.Exit(1)


@sandbox.command()
@click.option("--all", "every", is_flag=True, help="Also those whose owners live: their programs are lost and retried.")
@json_option
def reap(every: bool, as_json: bool) -> None:
    """Remove containers that dead processes left behind."""
    from kat_data.sandbox.docker import DockerSlots

    removed = DockerSlots().reap(every=every)
    if as_json:
        print_json({"removed": removed})
    else:
        say(f"{removed} containers removed")


def open_from(settings: Settings, kind: str | None = None) -> Any:
    """Open the sandbox of the settings, or of `kind` where it is given."""
    from kat_data.sandbox.open import open_sandbox

    return open_sandbox(
        kind or settings.sandbox,
        image=settings.sandbox_image,
        runtime=settings.sandbox_runtime,
        slots=settings.sandbox_slots,
    )
