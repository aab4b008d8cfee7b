"""Runs every check of the doctor; none can hide another, or take longer than it is given."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Thread

from kat_data.doctor.broker import look_at_broker
from kat_data.doctor.database import look_at_database
from kat_data.doctor.endpoints import look_at_endpoints
from kat_data.doctor.finding import Finding, Level, fail, ok, skipped
from kat_data.doctor.machine import look_at_disk, look_at_open_files, look_at_versions
from kat_data.doctor.sandbox import look_at_sandbox
from kat_data.errors import KatError
from kat_data.pipeline.recipe import Recipe, load_recipe
from kat_data.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A part of the machine to look at; what it yields within `seconds` counts."""

    name: str
    look: Callable[[], Iterable[Finding]]
    seconds: float = 20.0


@dataclass(slots=True)
class _Looking:
    check: Check
    findings: list[Finding] = field(default_factory=list)


def examine(recipe_name: str | None = None) -> list[Finding]:
    """Return what every check finds on this machine, with this environment and, if given, for that recipe."""
    findings: list[Finding] = []
    settings = _settings(findings)
    recipe = _recipe(findings, recipe_name) if recipe_name else None
    checks = [Check(name="versions", look=look_at_versions)]
    checks.append(Check(name="open files", look=partial(look_at_open_files, recipe)))
    if settings is not None:
        checks += _of_settings(settings)
    else:
        findings += [skipped(name, "the settings") for name in ("database", "disk", "broker", "sandbox")]
    if recipe is not None:
        checks.append(Check(name="endpoints", look=partial(look_at_endpoints, recipe), seconds=60.0))
    return findings + run_checks(checks)


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed; warnings are no failures."""
    return all(finding.level is not Level.FAIL for finding in findings)


def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Run the checks at the same time and return their findings in the order given."""
    start = time.monotonic()
    running = []
    for check in checks:
        looking = _Looking(check)
        # A check that hangs must not keep the process from ending.
        thread = Thread(target=_run, args=[looking], name=f"check of {check.name}", daemon=True)
        thread.start()
        running.append((looking, thread))
    found: list[Finding] = []
    for looking, thread in running:
        thread.join(max(0.0, start + looking.check.seconds - time.monotonic()))
        found += looking.findings.copy()
        if thread.is_alive():
            name, seconds = looking.check.name, looking.check.seconds
            found.append(fail(name, f"no answer within {seconds:g} s", "see whether it hangs, and try again"))
    return found


def _run(looking: _Looking) -> None:
    try:
        for finding in looking.check.look():
            looking.findings.append(finding)
    except Exception as error:  # whatever breaks here is what was to be found out
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
        looking.findings.append(fail(looking.check.name, found, "this is not expected: please report it"))


def _of_settings(settings: Settings) -> list[Check]:
    return [
        Check(name="database", look=partial(look_at_database, settings), seconds=90.0),  # the embedded one may start
        Check(name="disk", look=partial(look_at_disk, settings)),
        Check(name="broker", look=partial(look_at_broker, settings)),
        Check(name="sandbox", look=partial(look_at_sandbox, settings), seconds=60.0),
    ]


def _settings(findings: list[Finding]) -> Settings | None:
    try:
        settings = Settings.load()
    except KatError as error:
        findings.append(fail("settings", str(error), "correct the variable"))
        return None
    given = [origin for origin in settings.origins.values() if origin.startswith("KAT_")]
    findings.append(ok("settings", f"home {settings.home}; from the environment: {', '.join(given) or 'nothing'}"))
    return settings


def _recipe(findings: list[Finding], name: str) -> Recipe | None:
    try:
        recipe = load_recipe(name)
    except KatError as error:
        findings.append(fail("recipe", str(error), f"correct it: `kat recipes validate {name}` lists every problem"))
        return None
    findings.append(ok("recipe", f"{recipe.name}: models {', '.join(recipe.models)}"))
    return recipe
