"""Precision and recall on queries of which it is known whether a benchmark item stands in them."""

import pytest

from kat_data.decontam.constructed_truth import COPIES, OTHERS, Author, benchmark_items, changed, texts
from kat_data.decontam.index import Decontaminator
from kat_data.decontam.item import BenchmarkItem
from kat_data.decontam.measured import _errors, decontamination_errors


@pytest.fixture(scope="module")
def author() -> Author:
    return Author(20)


@pytest.fixture(scope="module")
def items(author: Author) -> dict[str, str]:
    return dict(texts(author, 60))


@pytest.fixture(scope="module")
def decontaminator(items: dict[str, str]) -> Decontaminator:
    return Decontaminator(benchmark_items(items))


def test_recall_and_precision(decontaminator: Decontaminator, items: dict[str, str], author: Author) -> None:
    copies = list(changed(items, COPIES, author))
    others = list(changed(items, OTHERS, author))
    found = [(key, change, [hit.key for hit in decontaminator.check(query)]) for key, change, query in copies]
    missed = [(key, change) for key, change, keys in found if key not in keys]
    wrong = [(key, change, keys) for key, change, keys in found if set(keys) - {key}]
    wrong += [
        (key, change, keys) for key, change, query in others if (keys := [h.key for h in decontaminator.check(query)])
    ]
    right = len(copies) - len(missed)
    assert right / len(copies) >= 0.99, missed
    assert right / (right + len(wrong)) >= 0.99, wrong


def test_what_cards_cite_is_counted_on_the_same_cases(items: dict[str, str]) -> None:
    found = decontamination_errors()
    assert (found.held, found.queries) == (60 * 6 + 60 * 4 + 60 * 3, 13 * 60 + 60 * 4 + 60 + 60)
    assert found.recall == 1 - found.missed / found.held >= 0.99
    assert found.precision >= 0.99
    assert len(found.sha256) == 64


def test_errors_are_counted_as_what_they_are() -> None:
    author = Author(3)
    held, other = author.problem(), author.problem()
    copies = [("problem 0", "as it is", held), ("problem 0", "not there", other)]
    found = _errors({"problem 0": held}, copies, [("problem 0", "as it is", held)])
    assert (found.held, found.missed, found.wrong, found.queries) == (2, 1, 1, 3)
    assert (found.recall, found.precision) == (0.5, 0.5)


def test_fresh_texts_are_clean(decontaminator: Decontaminator) -> None:
    assert [text for _, text in texts(Author(21), 200) if decontaminator.check(text)] == []


def test_the_order_of_the_items_does_not_matter(items: dict[str, str], author: Author) -> None:
    queries = [query for _, _, query in changed(dict(list(items.items())[:40]), COPIES, author)]
    made = [BenchmarkItem(benchmark="b", key=key, text=text) for key, text in items.items()]
    forward, backward = Decontaminator(made), Decontaminator(reversed(made))
    assert [forward.check(query) for query in queries] == [backward.check(query) for query in queries]
