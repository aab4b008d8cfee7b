"""Statistics: tables and plots of what is known, and nothing of what is not."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from kat_data.domain.run_statistics import AnswerTokens, Duplicates, Judged, RunStatistics, Voter, Votes
from kat_data.domain.sample import Sample
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.card.card import card
from kat_data.snapshots.card.statistics_plots import statistics_plots
from kat_data.snapshots.manifest import Manifest
from kat_data.snapshots.read import open_snapshot
from kat_data.snapshots.record import Row, TrainingStage, to_record
from kat_data.snapshots.survey.statistics import Statistics, sections
from kat_data.snapshots.survey.survey import Survey
from kat_data.snapshots.verify.verify import verify

BLUE, ORANGE = (0, 114, 178), (230, 159, 0)
HOSTILE = "a | b <script> `[x](y)`"
RUN = RunStatistics(
    samples=40,
    tokens=(
        AnswerTokens(mode="think_on", answers=12, counted=10, tokens=900, median=80, p90=120, p99=140, longest=150),
    ),
    votes=Votes(turns=50, votes=150, unanimous=20, agreement=0.75, kappa=0.4, margins={"0.3": 30, "1.0": 20}),
    voters=(Voter(model="small", votes=50, agreed=45), Voter(model=HOSTILE, votes=50, agreed=30)),
    origins={"majority": 49, "random": 1},
    judged=(
        Judged(category="math", mode="think_on", answers=20, correct=15, incorrect=4, undecided=1),
        Judged(category="math", mode="think_off", answers=10, correct=2, incorrect=8, undecided=0),
    ),
    duplicates=Duplicates(exact=7, near=3),
    languages={"zh": 30, HOSTILE: 10},
    usd_per_sample=0.0125,
    calls_per_sample=6.5,
)


def with_statistics(manifest: Manifest, statistics: Statistics | None) -> Manifest:
    return replace(manifest, unhashed=replace(manifest.unhashed, statistics=statistics))


@pytest.fixture
def manifest(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> Manifest:
    return write_snapshot(tmp_path, make_spec(statistics=RUN), {"train": rows}).manifest


def test_what_is_written_is_read_back_and_verified(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    written = write_snapshot(tmp_path, make_spec(statistics=RUN), {"train": rows})
    statistics = open_snapshot(written.path).manifest.unhashed.statistics
    assert statistics == written.manifest.unhashed.statistics
    assert statistics is not None
    assert statistics.run == RUN
    assert set(written.manifest.unhashed.plots) == {"lengths.png", "votes.png", "passed.png"}
    assert verify(written.path).problems == ()


def test_statistics_are_no_part_of_the_content(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    first = write_snapshot(tmp_path, make_spec(statistics=RUN), {"train": rows})
    assert write_snapshot(tmp_path, make_spec(statistics=None), {"train": rows}).existed
    assert write_snapshot(tmp_path, make_spec(allowed_licences=("mit",)), {"train": rows}).path == first.path


def test_tables_tell_what_is_known(manifest: Manifest) -> None:
    statistics = manifest.unhashed.statistics
    assert statistics is not None
    found = {section.title: section for section in sections(statistics, duplicates=2)}
    assert list(found) == [
        "Lengths", "Completion tokens of accepted answers", "Votes on modes", "Pass rates of candidates",
        "Verdicts on the rows", "Languages", "Duplicates", "Cost of an accepted sample",
    ]  # fmt: skip
    assert [line["of"] for line in found["Lengths"].lines] == ["prompt", "think_on", "think_off"]
    assert found["Votes on modes"].lines[1] == {"voters": "small", "votes": 50, "with the majority": "90.0%"}
    assert "50 turns were voted on, 20 of them unanimously, Fleiss' kappa 0.40" in found["Votes on modes"].note
    assert [line["pass rate"] for line in found["Pass rates of candidates"].lines] == ["75.0%", "20.0%"]
    assert [line["count"] for line in found["Duplicates"].lines] == [7, 3, 2]
    assert found["Cost of an accepted sample"].lines == [{"samples": 40, "calls each": 6.5, "US$ each": 0.0125}]


def test_what_nobody_knows_is_left_out(manifest: Manifest) -> None:
    statistics = manifest.unhashed.statistics
    assert statistics is not None
    bare = RunStatistics(samples=1, duplicates=Duplicates(exact=0, near=0), usd_per_sample=0, calls_per_sample=0)
    titles = [section.title for section in sections(replace(statistics, run=bare), 0)]
    assert titles == ["Lengths", "Verdicts on the rows", "Scripts", "Duplicates", "Cost of an accepted sample"]
    alone = with_statistics(manifest, replace(statistics, run=None))
    assert [name for name, _ in statistics_plots(alone)] == ["lengths.png"]
    assert list(statistics_plots(with_statistics(manifest, None))) == []
    assert "## Lengths" not in card(with_statistics(manifest, None))


def test_words_of_models_are_inert_in_the_card(manifest: Manifest) -> None:
    text = card(manifest)
    assert HOSTILE not in text
    assert r"| a \| b \<script\> \`\[x\](y)\` | 50 | 60.0% |" in text
    assert r"| a \| b \<script\> \`\[x\](y)\` | 10 | 25.0% |" in text
    assert "](votes.png)" in text


def test_plots_show_what_the_tables_say(manifest: Manifest) -> None:
    images = dict(statistics_plots(manifest))
    assert all(image.startswith(b"\x89PNG") and b"Software" not in image for image in images.values())
    pixels = np.rint(imread(BytesIO(images["passed.png"]))[..., :3] * 255).astype(int)[60:]  # without the legend
    on, off = ((pixels == colour).all(axis=-1).sum() for colour in (BLUE, ORANGE))
    assert on / off == pytest.approx(75 / 20, rel=0.05)
    assert dict(statistics_plots(manifest)) == images


@pytest.mark.parametrize(
    ("prompt", "script"),
    [
        ("How much is it?", "Latin"),
        ("Was heißt das für uns?", "Latin"),
        ("请问这是多少？", "Han"),
        ("Please answer this long question of mine in one word, in English: 请", "Latin"),
        ("これは何ですか", "Kana"),
        ("이것은 무엇입니까?", "Hangul"),
        ("Сколько это будет?", "Cyrillic"),
        ("كم هذا؟", "Arabic"),
        ("1 + 1 = ?", "Latin"),
    ],
)
def test_scripts_are_told_by_letters(
    rows: list[Row], surveyed: Callable[..., Survey], prompt: str, script: str
) -> None:
    sample = Sample(system=None, tools=(), turns=(replace(rows[0].sample.turns[0], user=prompt),))
    for stage in TrainingStage:
        record = to_record(replace(rows[0], sample=sample), stage)
        assert surveyed([record], stage, {}).statistics.scripts == {script: 1}
