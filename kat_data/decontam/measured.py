"""How well decontamination does on constructed truth, which dataset cards cite."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from kat_data.decontam.constructed_truth import COPIES, OTHERS, Author, benchmark_items, changed, texts
from kat_data.decontam.index import Decontaminator
from kat_data.hashing import content_hash

_SEED = 20
_EACH = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminationErrors:
    """Counts over `queries`, of which `held` hold an item of the benchmark; `sha256` is that of all the texts, hex.

    `missed` holds were not found, and `wrong` is how many queries were convicted of an item that they do not hold.
    """

    queries: int
    held: int
    missed: int
    wrong: int
    sha256: str

    @property
    def recall(self) -> float:
        return 1 - self.missed / self.held

    @property
    def precision(self) -> float:
        found = self.held - self.missed
        return found / (found + self.wrong) if found else 0.0


@cache
def decontamination_errors() -> DecontaminationErrors:
    """Measure decontamination on constructed truth: alike on every machine, in about a second."""
    author = Author(_SEED)
    items = dict(texts(author, _EACH))
    copies, others = list(changed(items, COPIES, author)), list(changed(items, OTHERS, author))
    return _errors(items, copies, others)


def _errors(
    items: Mapping[str, str], copies: list[tuple[str, str, str]], others: list[tuple[str, str, str]]
) -> DecontaminationErrors:
    decontaminator = Decontaminator(benchmark_items(items))
    of_copies = [(key, {hit.key for hit in decontaminator.check(query)}) for key, _, query in copies]
    return DecontaminationErrors(
        queries=len(copies) + len(others),
        held=len(copies),
        missed=sum(key not in found for key, found in of_copies),
        wrong=sum(bool(found - {key}) for key, found in of_copies)
        + sum(bool(decontaminator.check(query)) for _, _, query in others),
        sha256=content_hash([items, copies, others]).hex(),
    )
