"""No check hides another, whatever becomes of it."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from kat_data.doctor import examine as module
from kat_data.doctor.examine import Check, examine, healthy, run_checks
from kat_data.doctor.finding import Finding, Level, fail, ok, skipped, warn


def test_a_check_that_hangs_or_breaks_is_one_finding_among_the_others() -> None:
    never = Event()

    def hangs() -> Iterator[Finding]:
        yield ok("slow", "its first step")
        never.wait(60)

    def breaks() -> Iterator[Finding]:
        yield ok("broken", "its first step")
        raise ZeroDivisionError("by\nnothing")

    checks = [
        Check(name="slow", look=hangs, seconds=0.05),
        Check(name="broken", look=breaks),
        Check(name="sound", look=lambda: [ok("sound", "all is well")]),
    ]
    found = run_checks(checks)
    never.set()
    assert [(f.check, f.level, f.found) for f in found] == [
        ("slow", Level.OK, "its first step"),
        ("slow", Level.FAIL, "no answer within 0.05 s"),
        ("broken", Level.OK, "its first step"),
        ("broken", Level.FAIL, "ZeroDivisionError: by nothing"),
        ("sound", Level.OK, "all is well"),
    ]


def test_only_failures_are_unhealthy() -> None:
    assert healthy([ok("a", ""), warn("b", "", ""), skipped("c", "d")])
    assert not healthy([ok("a", ""), fail("b", "", "")])


def test_without_settings_the_rest_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAT_HOEM", "x")
    found = {finding.check: finding for finding in examine(str(tmp_path / "none.yaml"))}
    assert "did you mean KAT_HOME" in found["settings"].found
    assert {name for name, finding in found.items() if finding.level is Level.SKIPPED} == {
        "database", "disk", "broker", "sandbox",
    }  # fmt: skip
    assert found["recipe"].level is Level.FAIL
    assert found["versions"].level is Level.OK


def test_every_part_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for part in ("database", "disk", "broker", "sandbox", "endpoints"):
        monkeypatch.setattr(module, f"look_at_{part}", lambda _, part=part: [ok(part, "as it should be")])
    monkeypatch.setenv("KAT_HOME", str(tmp_path))
    found = examine("demo")
    assert [f.check for f in found] == [
        "settings", "recipe", "versions", "open files", "database", "disk", "broker", "sandbox", "endpoints",
    ]  # fmt: skip
    assert healthy(found)
    assert found[0].found == f"home {tmp_path}; from the environment: KAT_HOME"
