"""The plot: the same manifest gives the same bytes, and what is plotted can be seen."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from kat_data.errors import UserError
from kat_data.snapshots.build.write import SnapshotSpec, Written, write_snapshot
from kat_data.snapshots.card.plot import plot, plot_into
from kat_data.snapshots.distribution import StratumRows
from kat_data.snapshots.read import open_snapshot
from kat_data.snapshots.record import Row, TrainingStage

BLUE, ORANGE, BLACK = (0, 114, 178), (230, 159, 0), (0, 0, 0)
MIXTURE = {"stages": [{"select": {"counts": {"category=math mode=think_on": 20, "category=code": 30, "any": 40}}}]}


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> Written:
    return write_snapshot(tmp_path_factory.mktemp("plot"), make_spec(recipe=MIXTURE), {"train": rows})


def draw(written: Written, **changes: object) -> bytes:
    distribution = written.manifest.hashed.distribution
    assert distribution is not None
    return plot(written.manifest, replace(distribution, **changes))  # type: ignore[arg-type]


def pixels(image: bytes) -> np.ndarray:
    return np.rint(imread(BytesIO(image))[..., :3] * 255).astype(int)


def count(image: bytes, colour: tuple[int, int, int], upper: int | None = None) -> int:
    return int((pixels(image)[:upper] == colour).all(axis=-1).sum())


def test_settings_of_this_machine_change_no_byte_and_stay(written: Written) -> None:
    stored = (written.path / "composition.png").read_bytes()
    mine = {"font.size": 30.0, "figure.facecolor": "red", "savefig.dpi": 30.0, "font.family": ["monospace"]}
    with mpl.rc_context(mine):
        assert draw(written) == stored
        assert {name: mpl.rcParams[name] for name in mine} == mine
    assert stored.startswith(b"\x89PNG")
    assert b"Software" not in stored


def test_the_bars_of_modes_are_as_long_as_their_shares(written: Written, rows: list[Row]) -> None:
    image = draw(written, strata=())
    on, off = count(image, BLUE), count(image, ORANGE)
    assert on / (on + off) == pytest.approx(sum(row.mode == "think_on" for row in rows) / len(rows), abs=0.05)


def test_strata_need_room_and_targets_of_categories_are_marked(written: Written) -> None:
    def two(first: str, second: str) -> tuple[StratumRows, ...]:
        return tuple(StratumRows(stratum=name, target=20, rows=10) for name in (first, second))

    without = draw(written, strata=())
    upper = pixels(without).shape[0]
    told = draw(written, strata=two("category=math", "category=code"))
    not_told = draw(written, strata=two("category=math,code", "category=science"))
    assert pixels(told).shape[0] == pixels(not_told).shape[0] > upper
    assert count(told, BLACK, upper) > count(not_told, BLACK, upper)


def test_many_strata_and_names_that_no_font_has_are_drawn(written: Written) -> None:
    names = [
        "domain=代数",
        "domain=$x^2$",
        "domain=$_",
        f"domain={'long' * 40}",
        *(f"difficulty={1 + n / 11:.4g}" for n in range(1, 99)),
    ]
    strata = tuple(StratumRows(stratum=name, target=3, rows=2) for name in names)
    image = draw(written, strata=strata)
    assert image == draw(written, strata=(*strata[:50], *reversed(strata[50:]))), "no more than 40 are drawn"
    assert image != draw(written, strata=tuple(reversed(strata)))


def test_a_mixture_of_nothing_is_drawn(written: Written) -> None:
    assert draw(written, strata=(StratumRows(stratum="domain=none", target=0, rows=0),)).startswith(b"\x89PNG")


def test_pass_rates_are_drawn_where_they_were_measured(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    pairs = write_snapshot(tmp_path, make_spec(stage=TrainingStage.STAGE3), {"train": rows})
    assert draw(pairs) == draw(pairs, difficulty={"1": 40})
    assert draw(pairs) != draw(pairs, pass_rate={"1.0": 40})
    assert draw(pairs, pass_rate={"unmeasured": 40}) != draw(pairs, pass_rate={"unmeasured": 40}, difficulty={"1": 40})


def test_a_file_elsewhere_gets_the_same_bytes(written: Written, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "figure.PNG"
    plot_into(file, open_snapshot(written.path))
    assert file.read_bytes() == (written.path / "composition.png").read_bytes()


def test_another_format_is_refused(written: Written, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"figure\.svg: the plot is a PNG"):
        plot_into(tmp_path / "figure.svg", open_snapshot(written.path))
