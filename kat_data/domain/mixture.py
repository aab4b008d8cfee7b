"""The mixture that a recipe asks for: how many samples each stratum is to have, and where queries wait for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kat_data.domain.stratum import Labels, Stratum, apportion, first_that_holds, parse_stratum

STAGE: Final = "select"
"""The recipe's stage that fills its mixture, and holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """How many samples each stratum is to have, by its name and in order; a sample counts for the first that holds it.

    Of strata that ask how modes go on, nobody knows which a query will count for until it is answered. It waits in the
    pool from which all of them draw that differ in modes alone; any other stratum is its own pool.

    A stratum of which fewer than one in `patience` queries becomes a sample is looked for no further.
    """

    targets: dict[str, int]
    patience: int | None = None

    @property
    def strata(self) -> tuple[Stratum, ...]:
        """The strata in order."""
        return tuple(map(parse_stratum, self.targets))

    @property
    def pools(self) -> dict[Stratum, tuple[str, ...]]:
        """The names of the strata that draw from each pool."""
        drawing: dict[Stratum, list[str]] = {}
        for stratum in self.strata:
            drawing.setdefault(stratum.pool, []).append(str(stratum))
        return {pool: tuple(names) for pool, names in drawing.items()}

    @property
    def dimensions(self) -> frozenset[str]:
        """The labels of samples that the mixture asks for."""
        return frozenset().union(*(stratum.dimensions for stratum in self.strata))

    def gives_up(self, come: int, samples: int) -> bool:
        """Whether `come` queries brought so few samples of a stratum that no more are asked for it."""
        return self.patience is not None and come >= self.patience * (samples + 1)

    def stratum(self, labels: Labels) -> Stratum | None:
        """Return the stratum for which a sample with these labels counts."""
        return first_that_holds(self.strata, labels)

    def pool(self, labels: Labels, *, may_switch: bool) -> Stratum | None:
        """Return where a query waits that may come to count for a stratum; one turn alone cannot switch."""
        possible = (stratum for stratum in self.strata if may_switch or "switches" not in stratum.dimensions)
        return first_that_holds([stratum.pool for stratum in possible], labels)


def mixture(
    *, counts: Mapping[str, int], shares: Mapping[str, float], samples: int | None, patience: int | None = None
) -> Mixture:
    """Return the mixture of `samples` in `shares`, or of `counts`; raises `ValueError` with one line."""
    if not counts and (not shares or samples is None):
        raise ValueError("give the mixture either as `samples` and `shares`, or as `counts`")
    named = counts or apportion(shares, samples or 0)
    targets = {str(parse_stratum(name)): int(target) for name, target in named.items()}
    return Mixture(targets=targets, patience=patience)


def mixture_of(recipe: Mapping[str, Any]) -> Mixture | None:
    """Return the mixture of a recipe given as plain values, none where it has none; raises `ValueError`."""
    options = next((s[STAGE] for s in recipe.get("stages", ()) if isinstance(s, Mapping) and STAGE in s), None)
    if options is None:
        return None
    try:
        return mixture(
            counts=options.get("counts") or {},
            shares=options.get("shares") or {},
            samples=options.get("samples"),
            patience=options.get("patience"),
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"it is no mapping of strata to numbers: {error}") from error
