"""Strata: parts of a mixture by category, mode, transitions, difficulty, domain or pass rate, as people write them.

`category=math,science mode=think_on difficulty=6..9` holds what has one of the two categories, the mode and a
difficulty of 6 to 9, both ends included. `switches=yes` holds conversations whose mode changes from one turn to
another. What is not named is free. A domain's spaces are written `_`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode, Switches

SHORT: Final = {"on": Mode.ON.value, "off": Mode.OFF.value}
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "category": tuple(category.value for category in Category),
    "mode": tuple(mode.value for mode in Mode),
    "switches": tuple(switches.value for switches in Switches),
    "domain": (),
}
BY_MODES: Final = ("mode", "switches")
"""What the modes of all turns decide, the last one's included."""
LIMITS: Final[Mapping[str, tuple[float, float]]] = {"difficulty": (1, 10), "pass_rate": (0, 1)}
RANGES: Final = tuple(LIMITS)
WHOLE: Final = 1e-6
"""How far shares may be from adding up to 1: what floating point makes of them."""
EXAMPLE: Final = "`category=math mode=think_on difficulty=6..9`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is known of one query or sample; none where it is not known yet.

    `switches` is known of whole conversations alone: what has one turn neither switches nor stays.
    """

    category: str
    mode: str | None = None
    switches: str | None = None
    domain: str | None = None
    difficulty: float | None = None
    pass_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """A part of a mixture: `allowed` values by dimension, and `bounds` of those that are numbers."""

    allowed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    bounds: tuple[tuple[str, float, float], ...] = ()

    @property
    def dimensions(self) -> frozenset[str]:
        """The labels that have to be known before anybody can say whether a query belongs here."""
        return frozenset([name for name, _ in self.allowed] + [name for name, _, _ in self.bounds])

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that may belong here."""
        return dict(self.allowed).get("category", CHOICES["category"])

    @property
    def pool(self) -> "Stratum":
        """What a query has to be, before it is answered, to come to belong here.

        Where transitions are asked for, that is all but the modes: the mode of the last turn is as open as they are.
        """
        if "switches" not in self.dimensions:
            return self
        return replace(self, allowed=tuple(part for part in self.allowed if part[0] not in BY_MODES))

    def holds(self, labels: Labels) -> bool:
        """Whether the labels lie inside; what is unknown lies outside of every stratum that asks for it."""
        return all(_said(labels, name) in values for name, values in self.allowed) and all(
            (value := getattr(labels, name)) is not None and low <= value <= high for name, low, high in self.bounds
        )

    def __str__(self) -> str:
        words = [f"{name}={','.join(values)}" for name, values in self.allowed]
        words += [f"{name}={low:g}..{high:g}" if low != high else f"{name}={low:g}" for name, low, high in self.bounds]
        return " ".join(words) or "any"


@lru_cache(maxsize=4096)
def parse_stratum(text: str) -> Stratum:
    """Read a stratum as people write it; raises `ValueError` with one line that says what is wrong.

    The order of the words does not matter: equal strata are written equally by `str`.
    """
    words = [] if text.strip() == "any" else text.split()
    named: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value or name not in (*CHOICES, *RANGES):
            raise ValueError(f"`{word}` is no part of a stratum: write it as {EXAMPLE}")
        if name in named:
            raise ValueError(f"`{name}` stands twice in `{text}`")
        named[name] = value
    return Stratum(
        allowed=tuple((name, _values(name, named[name])) for name in CHOICES if name in named),
        bounds=tuple(_range(name, named[name]) for name in RANGES if name in named),
    )


def first_that_holds(strata: Sequence[Stratum], labels: Labels) -> Stratum | None:
    """Return the stratum that the labels count for: the first that holds them, as strata may overlap."""
    return next((stratum for stratum in strata if stratum.holds(labels)), None)


def apportion(shares: Mapping[str, float], samples: int) -> dict[str, int]:
    """Split `samples` by shares that add up to 1; what division leaves over goes to the largest remainders.

    Of equal remainders the first by name counts, so that the order in which shares are written does not matter.
    """
    exact = {name: share * samples for name, share in shares.items()}
    whole = {name: int(value + WHOLE) for name, value in exact.items()}
    largest = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in largest[: samples - sum(whole.values())]:
        whole[name] += 1
    return whole


def as_written(value: str) -> str:
    """Return a label's value as strata have it."""
    return value.replace(" ", "_")


def _said(labels: Labels, name: str) -> str | None:
    value: str | None = getattr(labels, name)
    return as_written(value) if value is not None else None


def _values(name: str, text: str) -> tuple[str, ...]:
    if not CHOICES[name]:
        return tuple(sorted(set(text.split(","))))
    values = {SHORT.get(value, value) if name == "mode" else value for value in text.split(",")}
    if unknown := sorted(values - set(CHOICES[name])):
        raise ValueError(f"there is no {name} `{unknown[0]}`: known are {', '.join(CHOICES[name])}")
    return tuple(value for value in CHOICES[name] if value in values)


def _range(name: str, text: str) -> tuple[str, float, float]:
    low, dots, high = text.partition("..")
    try:
        bounds = name, float(low), float(high if dots else low)
    except ValueError:
        raise ValueError(f"`{name}={text}` is no range: write it as `{name}=6..9`, or `{name}=6`") from None
    least, most = LIMITS[name]
    if not least <= bounds[1] or not bounds[2] <= most:
        raise ValueError(f"`{name}={text}`: {name} lies between {least:g} and {most:g}")
    if not bounds[1] <= bounds[2]:
        raise ValueError(f"`{name}={text}` is empty: the lower end stands first")
    return bounds
