"""Labelled cases are measured once, and again when anything changes that decides the result."""

from pathlib import Path

import pytest

from kat_data.domain.query import VerifierKind
from kat_data.pipeline import measured
from kat_data.pipeline.measured import measured_decontamination, measured_verifiers
from kat_data.verifiers import labelled

QUICK = (VerifierKind.CHOICE, VerifierKind.KEYWORD)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds that were really measured, in order; the slow ones are left out."""
    kinds: list[str] = []

    def count(verifiers, of):
        kinds.extend(kind.value for kind in of)
        return labelled.error_rates(verifiers, of)

    monkeypatch.setattr(measured, "KINDS", QUICK)
    monkeypatch.setattr(measured, "error_rates", count)
    return kinds


def verifiers(home: Path | None) -> measured.Measured:
    return measured_verifiers(False, lambda: None, home)


def test_what_was_measured_is_kept(tmp_path: Path, asked: list[str]) -> None:
    first = verifiers(tmp_path)
    assert asked == ["choice", "keyword"]
    assert verifiers(tmp_path) == first
    assert asked == ["choice", "keyword"]
    assert [rate["verifier"] for rate in first["error_rates"]] == [v["verifier"] for v in first["verifiers"]]
    assert all(rate["cases"] > 10 for rate in first["error_rates"])


def test_without_a_home_it_is_measured_each_time(asked: list[str]) -> None:
    assert verifiers(None) == verifiers(None)
    assert asked == ["choice", "keyword"] * 2


@pytest.mark.parametrize("change", ["name", "cases", "code"])
def test_a_changed_verifier_is_measured_again(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    verifiers(tmp_path)
    del asked[:]
    if change == "code":
        monkeypatch.setattr(measured, "_code", lambda packages: "other sources")
    elif change == "name":
        monkeypatch.setattr(labelled, "NAMES", {**labelled.NAMES, VerifierKind.CHOICE: "choice/99"})
    else:
        real = labelled._file
        monkeypatch.setattr(labelled, "_file", lambda kind: real(kind) + b"\n" * (kind is VerifierKind.CHOICE))
    verifiers(tmp_path)
    assert asked == (["choice", "keyword"] if change == "code" else ["choice"])


def test_a_damaged_result_is_measured_again(tmp_path: Path, asked: list[str]) -> None:
    first = verifiers(tmp_path)
    for file in (tmp_path / "measured").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    assert verifiers(tmp_path) == first
    assert asked == ["choice", "keyword"] * 2
    assert verifiers(tmp_path) == first
    assert len(asked) == 4


def test_a_home_that_takes_no_files_stops_nothing(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "measured").write_text("in the way")
    assert verifiers(tmp_path) == verifiers(tmp_path)


def test_programs_are_named_where_no_sandbox_can_measure_them(tmp_path: Path, asked: list[str]) -> None:
    found = measured_verifiers(True, lambda: None, tmp_path)
    assert found["verifiers"][-1]["verifier"].startswith("code/")
    assert len(found["error_rates"]) == len(QUICK)


def test_decontamination_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured_decontamination(tmp_path)
    assert 0.9 < first["recall"] <= 1
    monkeypatch.setattr(measured, "decontamination_errors", lambda: pytest.fail("measured again"))
    assert measured_decontamination(tmp_path) == first


def test_the_code_of_a_verifier_is_all_that_decides() -> None:
    everywhere = measured._code(("verifiers",))
    assert everywhere == measured._code(("verifiers",)) != measured._code(("verifiers", "sandbox"))
