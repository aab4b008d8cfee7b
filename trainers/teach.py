"""Asking the teachers (§3.1): what they say of every completion of a snapshot goes into the cache.

    python -m trainers.teach trainers/configs/distill_tiny.yaml

`trainers.distill` does the same before it trains. As a command of its own it runs where the teachers are, with the
same configuration; several processes, under `accelerate launch`, share the rows. A kill loses one shard's worth.

A teacher reads its own chat template without the trigger, which it does not know, and then the completion. Student and
teacher may cut that text differently: a lesson holds the spans that both close at the same byte.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from kat_data.domain.mode import Mode
from kat_data.domain.template import last_user, split_trigger
from kat_data.errors import ConfigError
from trainers.alignment import ByteTokenizer, align, close_turn
from trainers.config import Model
from trainers.data import encoded, rows
from trainers.endpoint_teacher import Endpoint, EndpointTeacher
from trainers.examples import IGNORED, completion, plain
from trainers.launch import launch
from trainers.models import load_tokenizer
from trainers.teacher_cache import TeacherCache, key
from trainers.teachers import Asked, LocalTeacher, Teacher, fill, identity
from trainers.tokens import TURN_END

if TYPE_CHECKING:
    from trainers.distill import Distill

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """The teacher of one mode: a model to load, or an endpoint, of which `model` then gives tokenizer and revision.

    `trigger` is for a teacher that was trained on triggers, and reads them.
    """

    model: Model
    endpoint: Endpoint | None = None
    trigger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Teachers:
    """A teacher for each mode, the folder of what they say, and how many of the largest probabilities are kept."""

    think_on: Regime
    think_off: Regime
    cache: Path
    k: int = 64
    shard_tokens: int = 2**19

    def of(self, mode: Mode) -> Regime:
        """Return the teacher of a mode."""
        return self.think_on if mode is Mode.ON else self.think_off


class Reader:
    """How a teacher reads a row: its chat template, its tokens, and the name that it has in the cache's keys."""

    def __init__(self, regime: Regime) -> None:
        from transformers import AutoTokenizer

        model = regime.model
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model.path, revision=model.revision)
        except (OSError, ValueError) as error:
            said = str(error).strip().partition("\n")[0]
            raise ConfigError(f"teacher {model.path} holds no tokenizer that can be loaded: {said}") from error
        if not self._tokenizer.chat_template or self._tokenizer.eos_token_id is None:
            raise ConfigError(f"teacher {model.path}: its tokenizer has no chat template, or no token that ends a turn")
        self._trigger = regime.trigger
        self.bytes = ByteTokenizer(self._tokenizer.backend_tokenizer)
        self.identity = identity(model, regime.endpoint.name if regime.endpoint else None, self.bytes.hash)

    def prompt(self, messages: list[Row], tools: list[Row], answer: str) -> list[int]:
        """Return the tokens of a prompt up to where the answer begins."""
        messages = [plain(message) for message in messages]
        if not self._trigger:
            place = last_user(messages)
            messages[place] = messages[place] | {"content": split_trigger(messages[place]["content"])[0]}
        text = self._tokenizer.apply_chat_template(
            messages, tools=tools or None, add_generation_prompt=True, tokenize=False
        )
        if answer.startswith("<think>\n"):  # templates of reasoning models write it themselves
            text = text.removesuffix("<think>\n")
        found: list[int] = self.bytes(text).ids.tolist()
        return found

    @property
    def end(self) -> int:
        """The token that ends a turn."""
        return int(self._tokenizer.eos_token_id)


class Lessons:
    """Makes of a stage-1 row a training example with what its teacher is asked, and the spans to compare."""

    def __init__(self, tokenizer: Any, readers: Mapping[Mode, Reader], k: int) -> None:
        self._tokenizer = tokenizer
        self._bytes = ByteTokenizer(tokenizer.backend_tokenizer)
        self._readers = readers
        self._k = k

    def __call__(self, row: Row) -> Row:
        tools = orjson.loads(row["tools"])
        example = completion(self._tokenizer, row["prompt"], row["completion"], tools)
        text = self._text(row, tools)
        student = close_turn(self._bytes(text), self._tokenizer.eos_token_id, text)
        if student.ids.tolist() != [label for label in example["labels"] if label != IGNORED]:
            raise ValueError(
                "the tokenizer cuts a completion differently behind a prompt: its chat template is not ours"
            )
        reader = self._readers[Mode(row["mode"])]
        teacher = close_turn(reader.bytes(text), reader.end, text)
        spans = align(student, teacher)
        prompt, tokens = reader.prompt(row["prompt"], tools, text), teacher.ids.tolist()
        return {
            **example,
            "mode": row["mode"],
            "key": key(reader.identity, prompt, tokens, self._k),
            "teacher_prompt": prompt,
            "teacher_tokens": tokens,
            "first": spans.first,
            "last": spans.last,
            "teacher_first": spans.teacher_first,
            "teacher_last": spans.teacher_last,
        }

    def _text(self, row: Row, tools: list[Row]) -> str:
        """Return what the completion is rendered to, without the mark that ends its turn."""

        def rendered(messages: list[Row], *, asks: bool) -> str:
            found: str = self._tokenizer.apply_chat_template(
                [plain(message) for message in messages],
                tools=tools or None,
                add_generation_prompt=asks,
                tokenize=False,
            )
            return found

        whole, prompt = rendered([*row["prompt"], *row["completion"]], asks=False), rendered(row["prompt"], asks=True)
        return whole[len(prompt) :].rpartition(TURN_END)[0]


def readers(teachers: Teachers) -> dict[Mode, Reader]:
    """Return how each mode's teacher reads; raises `ConfigError`."""
    return {mode: Reader(teachers.of(mode)) for mode in Mode}


def ask(teachers: Teachers, lessons: Any) -> TeacherCache:
    """Return the cache once it holds an answer for every lesson, a dataset; each process asks about its share."""
    from accelerate import PartialState
    from tqdm import tqdm

    here, cache = PartialState(), TeacherCache(teachers.cache)
    for mode in Mode:
        # Shares are by place, as what is missing may change while another process looks.
        mine = [
            place
            for place, (of, one) in enumerate(zip(lessons["mode"], lessons["key"], strict=True))
            if of == mode and place % here.num_processes == here.process_index and one not in cache
        ]
        if mine:
            asked = tqdm(_asked(lessons, mine), f"teacher {mode}", len(mine))
            fill(cache, _teacher(teachers.of(mode), teachers.k), asked, teachers.shard_tokens)
    here.wait_for_everyone()
    cache.refresh()
    return cache


def _teacher(regime: Regime, k: int) -> Teacher:
    if regime.endpoint is None:
        return LocalTeacher(regime.model, k)
    return EndpointTeacher(regime.endpoint, k)


def _asked(lessons: Any, places: list[int]) -> Iterator[Asked]:
    for place in places:
        row = lessons[place]
        yield Asked(key=row["key"], prompt=row["teacher_prompt"], tokens=row["teacher_tokens"])


def teach(config: "Distill") -> None:
    """Fill the cache for a distillation that runs later, or elsewhere."""
    from trainers.data import open_stage

    if config.teachers is None:
        raise ConfigError("the configuration names no teachers")
    snapshot = open_stage(config.snapshot, "stage1")
    lessons, _ = encoded(
        rows(snapshot, config.split, cache=config.output / "cache"),
        Lessons(load_tokenizer(config.model), readers(config.teachers), config.teachers.k),
        max_tokens=config.max_tokens,
        processes=config.processes,
    )
    ask(config.teachers, lessons)


if __name__ == "__main__":
    from trainers.distill import Distill

    launch(teach, Distill, __doc__)
