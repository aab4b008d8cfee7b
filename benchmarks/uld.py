"""Universal Logit Distillation: forward and backward beside TRL's class, on the same logits, in CPU seconds and memory.

    python benchmarks/uld.py [--shapes 250x32000 125x151936] [--k 64] [--repeats 2] [--json]  # places: a multiple of five

Needs the extra `train`. One thread. Two cases: `places` compares place with place, as tokenizers of one kind do;
`spans` merges tokens on both sides, two in every fourth span. TRL's class runs with the settings in which it is right
(`bayesian`, which shifts; byte offsets for `spans`). Beside it stand the exact loss over both vocabularies, and the
loss from the K largest: `largest` makes the teacher's from its logits, `cached` has them, as training from the cache
does. Every variant runs in a process of its own; memory is what its peak adds to the logits. All exact variants must
say the same loss.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import Any

VARIANTS = ("trl", "exact", "largest", "cached")
CASES = ("places", "spans")


def measure(case: str, variant: str, places: int, vocabulary: int, k: int, repeats: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    # One place more on both sides: TRL's class takes the logits of every token, the last of which predict nothing.
    student, teacher = (torch.randn(1, places + 1, vocabulary) * 3 for _ in range(2))
    student.requires_grad_()
    tokens = torch.randint(vocabulary, (2, places))
    run = {"trl": _trl, "exact": _exact, "largest": _largest, "cached": _cached}[variant](
        student, teacher, tokens, _spans(case, places), case, k
    )
    before = _peak(reset=True)
    seconds, loss = [], 0.0
    for _ in range(repeats):
        student.grad = None
        start = process_time()
        loss = run()
        seconds.append(process_time() - start)
    return {"cpu_seconds": min(seconds), "mib": (_peak() - before) / 2**20, "loss": loss}


def _spans(case: str, places: int) -> Any:
    """Return first and last places of the spans; both sides are cut alike, which no variant profits from."""
    import torch

    if case == "places":
        every = torch.arange(places)
        return every, every
    last = (torch.tensor([1, 1, 2, 1]).repeat(places)).cumsum(0) - 1
    last = last[last < places]
    return torch.cat([torch.zeros(1, dtype=torch.long), last[:-1] + 1]), last


def _trl(student: Any, teacher: Any, tokens: Any, spans: Any, case: str, k: int) -> Any:
    import torch
    from trl.experimental.gold.gold_trainer import ULDLoss

    loss = ULDLoss(
        SimpleNamespace(
            uld_crossentropy_weight=0.0,
            uld_distillation_weight=1.0,
            uld_student_temperature=1.0,
            uld_teacher_temperature=1.0,
            uld_skip_student_eos=False,
            uld_skip_teacher_eos=False,
            use_extended_uld=case == "spans",
            uld_token_merge_strategy="bayesian",
        )
    )
    ids = [torch.cat([torch.zeros(1, dtype=torch.long), side])[None] for side in tokens]
    labels = [torch.cat([torch.full((1,), -100), side])[None] for side in tokens]
    ends = []
    for side in (1, 2):  # inside of a span the two sides cut at different bytes
        where = torch.arange(tokens.shape[1]) * 10 + side
        where[spans[1]] = spans[1] * 10 + 5
        ends.append(torch.cat([torch.zeros(1, 2, dtype=torch.long), torch.stack([where - 1, where], -1)])[None])

    def run() -> float:
        found = loss(student, teacher, *labels, *ids, *ends)
        found.backward()
        return float(found)

    return run


def _exact(student: Any, teacher: Any, tokens: Any, spans: Any, case: str, k: int) -> Any:
    from trainers.uld import predict, prefix, uld_exact

    def scale(side: Any, actual: Any) -> Any:
        return prefix(predict(side[0, :-1], actual, 1).own, *spans).exp() if case == "spans" else None

    def run() -> float:
        ours, theirs = student[0, :-1], teacher[0, :-1]
        if case == "spans":
            ours, theirs = ours[spans[1]], theirs[spans[1]]
        found = uld_exact(ours, theirs, scale(student, tokens[0]), scale(teacher, tokens[1])).mean()
        found.backward()
        return float(found)

    return run


def _largest(student: Any, teacher: Any, tokens: Any, spans: Any, case: str, k: int) -> Any:
    from trainers.uld import merge, predict, uld

    def run() -> float:
        theirs = merge(predict(teacher[0, :-1], tokens[1], k), *spans)
        found = uld(merge(predict(student[0, :-1], tokens[0], k), *spans), theirs).mean()
        found.backward()
        return float(found)

    return run


def _cached(student: Any, teacher: Any, tokens: Any, spans: Any, case: str, k: int) -> Any:
    from trainers.uld import merge, predict, uld

    theirs = merge(predict(teacher[0, :-1], tokens[1], k), *spans)

    def run() -> float:
        found = uld(merge(predict(student[0, :-1], tokens[0], k), *spans), theirs).mean()
        found.backward()
        return float(found)

    return run


def _peak(*, reset: bool = False) -> int:
    """Return the highest resident memory so far, or since the reset, in bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["250x32000", "125x151936"], metavar="PLACESxVOCABULARY")
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=4, metavar=("CASE", "VARIANT", "PLACES", "VOCABULARY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        case, variant, places, vocabulary = given.one
        print(json.dumps(measure(case, variant, int(places), int(vocabulary), given.k, given.repeats)))
        return
    rows = []
    for shape in given.shapes:
        places, _, vocabulary = shape.partition("x")
        for case in CASES:
            found = {variant: _alone(given, case, variant, places, vocabulary) for variant in VARIANTS}
            assert abs(found["exact"]["loss"] - found["trl"]["loss"]) < 1e-4, "two exact losses differ"
            for variant, row in found.items():
                times = found["trl"]["cpu_seconds"] / row["cpu_seconds"]
                rows.append({"shape": shape, "case": case, "variant": variant, **row, "times_faster": times})
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'shape':>12} {'case':>7} {'variant':>8} {'CPU s':>8} {'faster':>7} {'MiB':>7} {'loss':>9}")
    for row in rows:
        print(
            f"{row['shape']:>12} {row['case']:>7} {row['variant']:>8} {row['cpu_seconds']:8.3f} "
            f"{row['times_faster']:6.1f}x {row['mib']:7.0f} {row['loss']:9.5f}"
        )


def _alone(given: argparse.Namespace, *one: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", *one, "--k", str(given.k), "--repeats", str(given.repeats)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
