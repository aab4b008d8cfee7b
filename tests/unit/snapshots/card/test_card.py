"""The card: front matter that the Hub reads, and tables that add up."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kat_data.domain.mode import Mode
from kat_data.domain.run_statistics import Duplicates, RunStatistics
from kat_data.snapshots.build.write import SnapshotSpec, Written, write_snapshot
from kat_data.snapshots.card.card import card
from kat_data.snapshots.record import Row, TrainingStage
from kat_data.snapshots.schema import arrow_schema

MakeSpec = Callable[..., SnapshotSpec]


@pytest.fixture
def written(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> Written:
    return write_snapshot(tmp_path, make_spec(), {"train": rows[:30], "test": rows[30:]})


def front_matter(text: str) -> dict[str, Any]:
    _, matter, _ = text.split("---\n", 2)
    return yaml.safe_load(matter)  # type: ignore[no-any-return]


def table_after(text: str, title: str) -> list[list[str]]:
    lines = text.split(f"## {title}\n\n", 1)[1].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_front_matter_names_licences_size_and_every_split(written: Written) -> None:
    matter = front_matter((written.path / "README.md").read_text(encoding="utf-8"))
    assert matter["license"] == ["apache-2.0", "mit"]
    assert matter["size_categories"] == ["n<1K"]
    files = matter["configs"][0]["data_files"]
    assert [file["split"] for file in files] == ["train", "test"]
    for file in files:
        assert list(written.path.glob(file["path"]))
    sizes = {name: sum(p.stat().st_size for p in written.path.glob(f"data/{name}-*")) for name in ("train", "test")}
    splits = [
        {"name": "train", "num_bytes": sizes["train"], "num_examples": 30},
        {"name": "test", "num_bytes": sizes["test"], "num_examples": 10},
    ]
    assert matter["dataset_info"] == {"splits": splits, "download_size": sum(sizes.values())}


def test_tagged_languages_have_their_codes_the_most_frequent_first(written: Written) -> None:
    unhashed = written.manifest.unhashed
    assert unhashed.statistics is not None
    assert "language" not in front_matter(card(written.manifest))
    run = RunStatistics(
        samples=40,
        duplicates=Duplicates(exact=0, near=0),
        languages={"English": 9, "other": 20, "Chinese": 11},
        usd_per_sample=0.0,
        calls_per_sample=0.0,
    )
    tagged = replace(unhashed, statistics=replace(unhashed.statistics, run=run))
    assert front_matter(card(replace(written.manifest, unhashed=tagged)))["language"] == ["zh", "en"]


def test_the_hub_reads_the_front_matter_as_it_was_meant(written: Written) -> None:
    cards = pytest.importorskip("huggingface_hub.repocard", reason="huggingface_hub is not installed")
    read = cards.DatasetCard.load(written.path / "README.md")
    assert (read.data.license, read.data.size_categories) == (["apache-2.0", "mit"], ["n<1K"])
    assert read.data.configs == front_matter(read.content)["configs"]
    assert read.data.task_categories == ["text-generation"]
    assert read.text.startswith("\n# demo@1")


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        ({"MIT": 1}, {"license": "mit"}),
        ({"House rules": 1}, {"license": "other", "license_name": "house-rules"}),
        ({"GPLv3": 1, "CC BY-SA 4.0": 1}, {"license": ["cc-by-sa-4.0", "gpl-3.0"]}),
        ({"": 1}, {"license": "other", "license_name": "unnamed"}),
        ({"Mine": 1, "Yours": 1}, {"license": "other", "license_name": "several"}),
        ({"MIT": 1, "House rules": 1}, {"license": ["mit", "other"], "license_name": "house-rules"}),
    ],
)
def test_a_licence_that_the_hub_does_not_know_is_other(
    written: Written, licences: dict[str, int], expected: dict[str, str]
) -> None:
    manifest = replace(written.manifest, hashed=replace(written.manifest.hashed, licences=licences))
    matter = front_matter(card(manifest))
    assert {key: matter[key] for key in matter if key.startswith("license")} == expected


def test_the_composition_adds_up(written: Written, rows: list[Row]) -> None:
    header, _, *lines, total = table_after(card(written.manifest), "Composition")
    columns = list(zip(*([int(cell) for cell in line[1:]] for line in lines), strict=True))
    assert [sum(column) for column in columns] == [int(cell) for cell in total[1:]]
    assert total[-1] == str(len(rows))
    on = [int(cell) for name, cell in zip(header, total, strict=True) if name.startswith(Mode.ON)]
    assert sum(on) == sum(row.sample.mode is Mode.ON for row in rows)


@pytest.mark.parametrize(
    ("title", "cells"),
    [
        ("Funnel", ["wrong_answer", "8"]),
        ("Models", ["voters", "small, smaller"]),
        ("Verifiers, measured on labelled cases", ["math/2", "120", "ab" * 32, "0"]),
        ("Verifiers, measured on labelled cases", ["code/2", "not measured here", "cd" * 32, ""]),
        ("Decontamination, measured on constructed cases", ["ngram13/1", "0.9987", "1140", "ef" * 32]),
        ("Money spent", ["usd", "0.125"]),
        ("Sources", ["made-up", "40", "100.0%"]),
    ],
)
def test_what_the_caller_knows_stands_in_its_table(written: Written, title: str, cells: list[str]) -> None:
    assert cells in table_after(card(written.manifest), title)


def test_text_of_models_is_inert(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    hostile = replace(rows[0], domain="a|b\n<img src=x> [x](http://x) `c`")
    text = card(write_snapshot(tmp_path, make_spec(), {"train": [hostile]}).manifest)
    assert r"a\|b \<img src=x\> \[x\](http://x) \`c\`" in text


def test_an_empty_section_is_left_out(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    text = card(
        write_snapshot(tmp_path, make_spec(funnel=[], verifiers=[], decontamination=None), {"train": rows}).manifest
    )
    assert "## Funnel" not in text
    assert "## Verifiers" not in text
    assert "## Decontamination" not in text


def test_the_mixture_stands_beside_what_was_reached(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    recipe = {"stages": [{"select": {"counts": {"category=math": 5, "category=code": 15}}}]}
    written = write_snapshot(tmp_path, make_spec(recipe=recipe), {"train": rows})
    text = (written.path / "README.md").read_text(encoding="utf-8")
    maths, code = (sum(row.category == name for row in rows) for name in ("math", "code"))
    assert maths > 5
    share = code / (5 + code)
    assert table_after(text, "Mixture: target and reached")[2:] == [
        ["category=math", "5", "25.0%", "5", f"{1 - share:.1%}", f"{75 - 100 * share:+.1f} pp", "filled"],
        ["category=code", "15", "75.0%", str(code), f"{share:.1%}", f"{100 * share - 75:+.1f} pp", "short"],
        ["outside every stratum", "", "", "0", "0.0%", "", ""],
    ]
    assert f"{40 - 5 - code} accepted samples beyond the targets are not in it." in text


def test_the_card_shows_the_plots_that_stand_beside_it(written: Written) -> None:
    text = (written.path / "README.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert images == ["composition.png", "lengths.png"]
    assert all((written.path / image).read_bytes().startswith(b"\x89PNG") for image in images)
    assert "## Mixture" not in text


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("stage", TrainingStage)
def test_the_card_names_every_column(written: Written, stage: TrainingStage, version: int) -> None:
    hashed = replace(written.manifest.hashed, stage=stage, schema_version=version)
    (line,) = [x for x in card(replace(written.manifest, hashed=hashed)).splitlines() if x.startswith("Columns: ")]
    assert set(re.findall(r"`(\w+)`", line)) == set(arrow_schema(stage, version).names)
