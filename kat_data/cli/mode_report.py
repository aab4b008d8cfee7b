"""How the modes of a run compare with what it measured, as tables."""

from typing import Any

from kat_data.cli.output import print_table

Row = dict[str, Any]

_AGREEMENT = (
    "category", "chosen by", "turns", "compared", "agreed", "agreement", "95 %",
    "on, measured on", "on, measured off", "off, measured on", "off, measured off",
)  # fmt: skip
_WORTH = (
    "category", "chosen by", "right off", "right on", "right as chosen", "right as measured",
    "tokens off", "tokens on", "tokens as chosen", "tokens as measured",
)  # fmt: skip


def print_modes(rows: list[Row]) -> None:
    """Print agreement and confusion, then what each way of choosing brings and costs."""
    print_table(
        _AGREEMENT,
        [[*_where(row), *_agreement(row)] for row in rows],
        title="modes: how often the choice agrees with the measurement",
    )
    print_table(
        _WORTH,
        [[*_where(row), *_worth(row)] for row in rows],
        title="what the modes are worth: share of right answers and tokens an answer, over the compared turns "
        "(as measured: by the same answers, so a little too good)",
    )


def _where(row: Row) -> list[str]:
    return [row["category"] or "all", row["chosen_by"] or ""]


def _agreement(row: Row) -> list[Any]:
    interval = row["agreement_interval"]
    confusion = row["confusion"]
    return [
        row["turns"],
        row["compared"],
        row["agreed"],
        _share(row["agreement"]),
        f"{_share(interval[0])} to {_share(interval[1])}" if interval else "",
        *(confusion[chosen][measured] for chosen in ("on", "off") for measured in ("on", "off")),
    ]


def _worth(row: Row) -> list[str]:
    ways = ("off", "on", "chosen", "measured")
    tokens = [row[f"{way}_tokens"] for way in ways]
    return [_share(row[f"{way}_rate"]) for way in ways] + [f"{n:,.0f}" if n is not None else "" for n in tokens]


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
