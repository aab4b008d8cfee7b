"""The public maths sets against themselves: siblings of one template stay, true copies go.

`KAT_TEST_DATA` names the folder that holds them.
"""

import os
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kat_data.dedup.memory_store import MemoryBandStore
from kat_data.dedup.near import NearDuplicates
from kat_data.dedup.task import same_task, task_of
from kat_data.domain.query import Query
from kat_data.domain.text import normalise
from kat_data.sources.presets import read_queries

FOLDER = os.environ.get("KAT_TEST_DATA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KAT_TEST_DATA does not name a folder with the public data sets")


def load(file: str, preset: str) -> list[Query]:
    path = Path(FOLDER or ".") / file
    if not path.exists():
        pytest.skip(f"{path} is absent")
    items = read_queries(path, preset=preset, source=file, licence="any")
    found = [item[1] for item in items if isinstance(item, tuple)]
    return list({query.hash: query for query in found}.values())


def pairs(queries: list[Query]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the pairs of like words, and those of them that are one task."""
    texts = [normalise("\n\n".join(query.user_turns)) for query in queries]
    near = NearDuplicates(MemoryBandStore(), lambda ids: {id_: texts[id_] for id_ in ids})
    alike = list(near.add(range(len(texts)), texts))
    tasks = {id_: task_of(queries[id_]) for pair in alike for id_ in pair[:2]}
    same = [(one, other) for one, other, value in alike if same_task(tasks[one], tasks[other], value)]
    return [pair[:2] for pair in alike], same


@pytest.mark.parametrize(
    ("file", "preset", "alike", "same"),
    [
        ("gsm8k/train.jsonl", "gsm8k", 0, 5),
        ("math-test/test.json", "math", 50, 5),
        ("mmlu-stem/test.jsonl", "mcq", 20, 10),
        ("svamp/test.jsonl", "math", 0, 0),
    ],
)
def test_next_to_nothing_leaves_curated_sets(file: str, preset: str, alike: int, same: int) -> None:
    found = pairs(load(file, preset))
    assert len(found[0]) >= alike
    assert len(found[1]) <= same


def test_mawps_holds_many_copies_that_differ_in_spaces() -> None:
    queries = load("mawps/test.jsonl", "math")
    _, same = pairs(queries)
    assert len(same) >= 200
    assert all(queries[one].reference == queries[other].reference for one, other in same)


@pytest.mark.parametrize("keeps_reference", [False, True])
def test_every_sibling_with_another_number_stays(keeps_reference: bool) -> None:
    draw = random.Random(1)
    originals = draw.sample([q for q in load("gsm8k/train.jsonl", "gsm8k") if re.search(r"\d", q.user_turns[0])], 500)
    siblings = [_with_another_number(query, draw, keeps_reference) for query in originals]
    alike, same = pairs([*originals, *siblings])
    assert len(alike) > 400
    assert same == []


def _with_another_number(query: Query, draw: random.Random, keeps_reference: bool) -> Query:
    text = query.user_turns[0]
    place = draw.choice(list(re.finditer(r"\d+", text)))
    text = f"{text[: place.start()]}{int(place[0]) + draw.randint(1, 9)}{text[place.end() :]}"
    [message] = query.messages
    reference = query.reference if keeps_reference else None
    return replace(query, messages=(replace(message, content=text),), reference=reference)


def test_copies_with_other_spaces_headings_and_small_words_go() -> None:
    draw = random.Random(2)
    originals = draw.sample(load("math-test/test.json", "math"), 500)
    copies = [_reworded(query, number) for number, query in enumerate(originals)]
    alike, same = pairs([*originals, *copies])
    made = {(number, number + len(originals)) for number in range(len(originals))}
    assert made & set(alike) <= set(same)
    assert len(made & set(same)) >= 480  # to a text of six words a heading is much


def _reworded(query: Query, number: int) -> Query:
    [message] = query.messages
    text = re.sub(r"([,?])(?=\s|$)", r" \1 ", message.content)
    return replace(query, messages=(replace(message, content=f"Problem {number}. {text}  Please."),))
