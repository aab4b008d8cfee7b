"""Evaluate a policy: accuracy, think-on rate and tokens by benchmark, with intervals.

    python -m trainers.evaluate trainers/configs/evaluate_tiny.yaml

Each item is asked in every way that `asked` names: `auto`, where the model decides; `think_on` and `think_off`, where
the trigger of stage 1 forces the mode; `directed_on` and `directed_off`, where the user asks for it in words (§6.4).
Answers are verified by the items' own verifiers. Tokens count the judge's. Writes `answers.jsonl`, a line for each
answer, and `summary.json`; what is in the first is not asked for again. Does not train, and compares nothing:
`compare` does.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from kat_data.errors import ConfigError
from kat_data.hashing import content_hash
from trainers.benchmark import WANTED, Asking, Benchmark, Item, items_of, read_reply
from trainers.config import Model
from trainers.generation import Completion, Endpoint, LocalPolicy, Policy, Sampling, ServedPolicy
from trainers.intervals import Estimate, difference, estimate
from trainers.launch import launch
from trainers.rewards import Rewards, Score, Task, Verification

ANSWERS: Final = "answers.jsonl"
SUMMARY: Final = "summary.json"
MEASURES: Final = ("accuracy", "format", "think_on", "obeyed", "tokens", "judge_tokens", "tokens_on", "tokens_off")
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate:
    """The configuration: a `model` or an `endpoint`, and `samples` answers to each item in each way of asking."""

    benchmarks: tuple[Benchmark, ...]
    output: Path
    model: Model | None = None
    endpoint: Endpoint | None = None
    asked: tuple[Asking, ...] = ("auto",)
    samples: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    verification: Verification = field(default_factory=Verification)


def evaluate(config: Evaluate) -> dict[str, Any]:
    """Ask what was not asked yet, and return the summary: measures by benchmark and way of asking, and over all."""
    items = [item for benchmark in config.benchmarks for item in items_of(benchmark)]
    _begin(config, items)
    path = config.output / ANSWERS
    answers = _read(path)
    done = {(a["item"], a["asked"], a["sample"]) for a in answers}
    policy: Policy | None = None
    rewards = Rewards(
        config.verification.verifiers(), deadline_s=config.verification.deadline_s, threads=config.verification.threads
    )
    try:
        with path.open("ab") as file:
            for asking in config.asked:
                for sample in range(config.samples):
                    left = [item for item in items if (item.id, asking, sample) not in done]
                    if left:
                        policy = policy or _policy(config)
                        answers += _asked(policy, rewards, left, asking, sample, config.sampling, file)
    finally:
        rewards.close()
    summary = {"policy": _name(config), "benchmarks": summarise(answers)}
    (config.output / SUMMARY).write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def summarise(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return one mapping for each benchmark and way of asking, and for `all` benchmarks together.

    Measures are means with intervals over items; an answer that nobody could verify counts for no accuracy.
    """
    groups: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer["benchmark"], answer["asked"]].append(answer)
        groups["all", answer["asked"]].append(answer)
    return [
        {"benchmark": benchmark, "asked": asking, "undecided": sum(a["accuracy"] is None for a in group)}
        | {name: found and asdict(found) for name in MEASURES if (found := _measure(group, name)) or name == "accuracy"}
        for (benchmark, asking), group in groups.items()
    ]


def compare(before: Path, after: Path) -> list[dict[str, Any]]:
    """Return what changed between two evaluations, by benchmark and way of asking: differences paired by item."""
    old, new = (_read(folder / ANSWERS) for folder in (before, after))
    found = []
    for benchmark, asking in dict.fromkeys((a["benchmark"], a["asked"]) for a in new):
        line: dict[str, Any] = {"benchmark": benchmark, "asked": asking}
        for name in MEASURES:
            pairs = [_values([a for a in group if (a["benchmark"], a["asked"]) == (benchmark, asking)], name)
                     for group in (old, new)]  # fmt: skip
            if pairs[0][0] and pairs[1][0]:
                line[name] = asdict(difference(*pairs[0], *pairs[1]))
        found.append(line)
    return found


def _asked(
    policy: Policy, rewards: Rewards, items: Sequence[Item], asking: Asking, sample: int, sampling: Sampling, file: Any
) -> list[Answer]:
    """Ask, verify and write batch by batch; long prompts first, so that batches hold prompts of like length."""
    ordered = sorted(items, key=lambda item: -sum(len(m["content"] or "") for m in item.row["prompt"]))
    drawn = Sampling(**{**asdict(sampling), "seed": sampling.seed + sample})
    answers: list[Answer] = []
    for replies in policy.reply([item.prompt(asking) for item in ordered], drawn):
        batch = ordered[len(answers) : len(answers) + len(replies)]
        answers += _verified(rewards, batch, replies, asking, sample)
        file.write(b"".join(orjson.dumps(answer) + b"\n" for answer in answers[-len(batch) :]))
        file.flush()
        print(f"\r{asking}, sample {sample + 1}: {len(answers)} of {len(ordered)}", end="", file=sys.stderr)  # noqa: T201
    print(file=sys.stderr)  # noqa: T201
    return answers


def _verified(
    rewards: Rewards, items: Sequence[Item], replies: Sequence[Completion], asking: Asking, sample: int
) -> Iterator[Answer]:
    said = [read_reply(reply.text, asking) if reply.ended else None for reply in replies]
    tasks = [Task(prompt=n, query=item.query, reply=one) for n, (item, one) in enumerate(zip(items, said, strict=True))]
    for item, reply, one, score in zip(items, replies, said, rewards.score(tasks), strict=True):
        yield {
            "item": item.id,
            "benchmark": item.benchmark,
            "asked": asking,
            "sample": sample,
            "turns": item.turns,
            "mode": one.mode.value if one else None,
            **_score(score),
            "ended": reply.ended,
            "tokens": reply.tokens,
            "judge_tokens": reply.judge_tokens,
            "text": reply.text,
        }


def _score(score: Score) -> dict[str, Any]:
    return {"accuracy": score.reward, "why": score.why}


def _measure(answers: Sequence[Answer], name: str) -> Estimate | None:
    return estimate(*_values(answers, name))


def _values(answers: Sequence[Answer], name: str) -> tuple[list[float], list[int]]:
    """Return the measure of each answer that has one, and its item as a number that other evaluations give it too."""
    found = [(value, answer) for answer in answers if (value := _value(answer, name)) is not None]
    return [value for value, _ in found], [int(answer["item"][:15], 16) for _, answer in found]


def _value(answer: Answer, name: str) -> float | None:
    """One answer's share of a measure; none where it says nothing of it."""
    mode = answer["mode"]
    wanted = WANTED.get(answer["asked"])
    by_name: dict[str, float | None] = {
        "accuracy": answer["accuracy"],
        "format": float(mode is not None),
        "think_on": None if mode is None or (wanted and answer["asked"] == wanted) else float(mode == "think_on"),
        "obeyed": None if wanted is None or answer["asked"] == wanted else float(mode == wanted),
        "tokens": answer["tokens"],
        "judge_tokens": answer["judge_tokens"],
        "tokens_on": answer["tokens"] if mode == "think_on" else None,
        "tokens_off": answer["tokens"] if mode == "think_off" else None,
    }
    return by_name[name]


def _begin(config: Evaluate, items: Sequence[Item]) -> None:
    """Make the output folder for this evaluation; raises `ConfigError` where another's answers are in it."""
    if not items or (config.model is None) == (config.endpoint is None):
        raise ConfigError("an evaluation needs benchmarks, and either a model or an endpoint")
    identity = content_hash([_name(config), asdict(config.sampling)]).hex()
    config.output.mkdir(parents=True, exist_ok=True)
    mark = config.output / "evaluation.json"
    if mark.exists() and orjson.loads(mark.read_bytes())["hash"] != identity:
        raise ConfigError(f"{config.output} holds another evaluation: give another output folder, or remove it")
    mark.write_bytes(orjson.dumps({"hash": identity, "policy": _name(config), "sampling": config.sampling}))


def _policy(config: Evaluate) -> Policy:
    if config.model is not None:
        return LocalPolicy(config.model)
    assert config.endpoint is not None
    return ServedPolicy(config.endpoint)


def _name(config: Evaluate) -> str:
    if config.model is not None:
        return f"{config.model.path}@{config.model.revision}" if config.model.revision else config.model.path
    assert config.endpoint is not None
    return f"{config.endpoint.model} at {config.endpoint.url}"


def _read(path: Path) -> list[Answer]:
    """Return the answers of an evaluation; a line that a kill cut in half is not one, and is removed."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)
    return [orjson.loads(line) for line in whole.splitlines()]


def _main(config: Evaluate) -> None:
    for line in evaluate(config)["benchmarks"]:
        measures = {name: line[name]["mean"] for name in ("accuracy", "think_on", "tokens") if line.get(name)}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in measures.items())
        print(f"{line['benchmark']}, {line['asked']}: {shown}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    launch(_main, Evaluate, __doc__)
