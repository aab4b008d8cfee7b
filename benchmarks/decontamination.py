"""Recall and precision of decontamination: on constructed truth, and on public sets where a folder has them.

    python benchmarks/decontamination.py [--data FOLDER] [--each 60] [--json]

Constructed truth: benchmarks of problems, short problems and programs in invented words; queries that hold an item,
changed in ways that leave it the same task, and queries that hold none: another task in the same words, or the same
boilerplate. Public sets, by their paths in FOLDER: math-test/test.json, of which 500 problems at a time are the
benchmark (as MATH-500 was drawn from it), and gsm8k/train.jsonl, of which as many as its test set has.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kat_data.decontam.constructed_truth import COPIES, OTHERS, Author, benchmark_items, changed, texts
from kat_data.decontam.index import DEFAULT_N, Decontaminator
from kat_data.decontam.item import BenchmarkItem

DRAWS, DRAWN, GSM8K_TEST = 5, 500, 1319
STOCK = "Express your answer as a common fraction"


def constructed(each: int) -> dict[str, Any]:
    """Measure on constructed truth; `changes` has a row for every change of every kind."""
    author = Author(20)
    items = dict(texts(author, each))
    decontaminator = Decontaminator(benchmark_items(items))
    asked, convicted, wrong = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for changes, is_copy in ((COPIES, True), (OTHERS, False)):
        for key, change, query in changed(items, changes, author):
            row = (key.split()[0], change)
            keys = {hit.key for hit in decontaminator.check(query)}
            asked[row] += 1
            convicted[row] += is_copy and key in keys
            wrong[row] += bool(keys - {key} if is_copy else keys)
    copies = [(kind, change.__name__) for kind, changes in COPIES.items() for change in changes]
    right, held = sum(convicted[row] for row in copies), sum(asked[row] for row in copies)
    return {
        "queries": sum(asked.values()),
        "recall": right / held,
        "precision": right / (right + sum(wrong.values())),
        "changes": [
            {"kind": kind, "change": change, "queries": asked[kind, change], "held": (kind, change) in copies}
            | {"convicted": convicted[kind, change], "wrongly": wrong[kind, change]}
            for kind, change in asked
        ],
    }


def public(folder: Path) -> list[dict[str, Any]]:
    """Measure on the public sets that `folder` has."""
    rows = []
    if (math := folder / "math-test/test.json").exists():
        problems = _column(math, "problem")
        rows += [_draw(f"MATH, draw {seed}", problems, seed, DRAWN) for seed in range(DRAWS)]
        rows.append(_boilerplate(problems))
    if (gsm8k := folder / "gsm8k/train.jsonl").exists():
        rows.append(_draw("GSM8K, held out", _column(gsm8k, "question"), 0, GSM8K_TEST))
    return rows


def _draw(name: str, problems: Mapping[int, str], seed: int, size: int) -> dict[str, Any]:
    drawn = set(random.Random(seed).sample(sorted(problems), size))
    decontaminator = _benchmark({key: problems[key] for key in drawn})
    start = time.process_time()
    gone = {key for key, text in problems.items() if decontaminator.check(text)}
    seconds = time.process_time() - start
    short = {key for key in drawn if len(problems[key].split()) < DEFAULT_N}
    return {
        "set": name,
        "queries": len(problems),
        "items": size,
        "found": len(drawn & gone),
        "short_items": len(short),
        "short_found": len(short & gone),
        "others": len(gone - drawn),
        "cpu_per_1000": 1000 * seconds / len(problems),
    }


def _boilerplate(problems: Mapping[int, str]) -> dict[str, Any]:
    """Take all problems as the benchmark: of those that share a stock phrase, how many convict each other."""
    sharing = {key: text for key, text in problems.items() if STOCK in text}
    decontaminator = _benchmark(problems)
    start = time.process_time()
    hits = {key: {int(hit.key) for hit in decontaminator.check(text)} for key, text in problems.items()}
    seconds = time.process_time() - start
    return {
        "set": f"MATH, those with “{STOCK}”",
        "queries": len(sharing),
        "items": len(problems),
        "found": sum(key in hits[key] for key in sharing),
        "short_items": 0,
        "short_found": 0,
        "others": sum(bool(hits[key] - {key}) for key in sharing),
        "cpu_per_1000": 1000 * seconds / len(problems),
    }


def _benchmark(problems: Mapping[int, str]) -> Decontaminator:
    return Decontaminator(BenchmarkItem(benchmark="b", key=str(key), text=text) for key, text in problems.items())


def _column(path: Path, name: str) -> dict[int, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number: json.loads(line)[name] for number, line in enumerate(lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the public sets")
    parser.add_argument("--each", type=int, default=60, help="constructed items of each kind")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {"constructed": constructed(options.each), "public": public(options.data) if options.data else []}
    print(json.dumps(found, indent=2) if options.json else table(found))


def table(found: dict[str, Any]) -> str:
    truth = found["constructed"]
    lines = [
        f"constructed truth: {truth['queries']:,} queries, recall {truth['recall']:.4f}, "
        f"precision {truth['precision']:.4f}",
        "",
        "| item | change | holds it | queries | convicted | wrongly |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| {row['kind']} | {row['change'].replace('_', ' ')} | {'yes' if row['held'] else 'no'} | {row['queries']} "
        f"| {row['convicted']} | {row['wrongly']} |"
        for row in truth["changes"]
    ]
    if found["public"]:
        lines += ["", "| set | queries | items | items found | shorter than 13 words | others gone | CPU-s per 1,000 |"]
        lines.append("|---" * 7 + "|")
    lines += [
        f"| {row['set']} | {row['queries']:,} | {row['items']:,} | {row['found']:,} "
        f"| {row['short_found']} of {row['short_items']} | {row['others']} | {row['cpu_per_1000']:.3f} |"
        for row in found["public"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
