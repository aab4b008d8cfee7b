"""What all plots of snapshots share: colours, settings and a way to PNG.

The colours are told apart by people who do not see all of them (Okabe and Ito's palette). The same numbers give the
same bytes with the same matplotlib, whatever the settings of matplotlib on this machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Final

from kat_data.domain.mode import Mode

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAIN: Final = "#56b4e9"
GREY: Final = "#999999"
COLOURS: Final = {Mode.ON.value: "#0072b2", Mode.OFF.value: "#e69f00", "": PLAIN}
WIDTH: Final = 10.0  # all lengths are in inches
_DOTS_PER_INCH: Final = 100
_LONGEST: Final = 46


@contextmanager
def canvas(height: float, title: str) -> Iterator["Figure"]:
    """Give an empty figure with a title, drawn with matplotlib's own defaults; the caller's settings stay."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"text.parse_math": False, "font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"}
        )
        figure = Figure(figsize=(WIDTH, height), dpi=_DOTS_PER_INCH)
        figure.text(0.012, 1 - 0.3 / height, title, weight="bold", size=12)
        yield figure


def png(figure: "Figure") -> bytes:
    """Return the figure as a PNG."""
    image = BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def note(axes: "Axes", place: float, end: float, text: str) -> None:
    """Write beside the end of a horizontal bar."""
    axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center")


def finish(axes: "Axes", title: str, along: str = "x") -> None:
    """Give axes their title and a grid across the axis that is read."""
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x" if along == "x" else "y", color="#dddddd")
    axes.set_axisbelow(True)


def short(text: str) -> str:
    """Text that the bundled font can draw, cut to what there is room for."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 3]}..."
