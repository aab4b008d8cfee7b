"""The two segments of a completion (§4.2): the judge, from the start to the mode tag, and the rest.

They are found in token ids and never in decoded text, as advantages are given to tokens. What the tags are is the
template's affair; how a tokenizer writes them is found out by asking it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from kat_data.domain.mode import Mode
from kat_data.domain.sample import Turn
from kat_data.domain.template import render

OFF: Final = 0
ON: Final = 1
NONE: Final = -1
"""Modes as tensors hold them; NONE is a completion without a mode tag."""

Pattern = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The token sequences by which a tokenizer writes each mode's tag; one id each where the tags are added tokens."""

    on: tuple[Pattern, ...]
    off: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """Masks over a batch of completions, padding excluded: `judge` and `rest` divide the tokens, `tag` is in `judge`.

    `modes` (B,) holds ON, OFF or NONE; the masks are (B, T) and boolean. A completion without a mode tag has never
    come to its decision, so that all of it is judge.
    """

    modes: Tensor
    judge: Tensor
    rest: Tensor
    tag: Tensor


def tags_of(tokenizer: Any) -> Tags:
    """Return how a tokenizer writes the mode tags: alone, and at their place in the template."""
    return Tags(on=_patterns(tokenizer, Mode.ON), off=_patterns(tokenizer, Mode.OFF))


def segment(completion_ids: Tensor, mask: Tensor, tags: Tags) -> Segments:
    """Divide completions (B, T), right-padded as `mask` says, at the end of the first mode tag."""
    width = completion_ids.shape[1]
    mask = mask.bool()
    on_start, on_end = _first(completion_ids, mask, tags.on)
    off_start, off_end = _first(completion_ids, mask, tags.off)
    is_on = on_start < off_start
    modes = torch.where(is_on, ON, torch.where(off_start < width, OFF, NONE))
    start, end = torch.where(is_on, on_start, off_start), torch.where(is_on, on_end, off_end)
    place = torch.arange(width, device=completion_ids.device)
    judge = mask & (place < end[:, None])
    return Segments(modes=modes, judge=judge, rest=mask & ~judge, tag=judge & (place >= start[:, None]))


def _first(ids: Tensor, mask: Tensor, patterns: Sequence[Pattern]) -> tuple[Tensor, Tensor]:
    """Return where the first of `patterns` starts and ends in each row; the width of the batch where none is there."""
    rows, width = ids.shape
    start = torch.full((rows,), width, device=ids.device)
    end = start.clone()
    for pattern in patterns:
        if len(pattern) > width:
            continue
        windows = ids.unfold(1, len(pattern), 1) == torch.tensor(pattern, device=ids.device)
        found = windows.all(dim=2) & mask[:, len(pattern) - 1 :]
        at = torch.where(found.any(dim=1), found.int().argmax(dim=1), width)
        earlier = at < start
        start, end = torch.where(earlier, at, start), torch.where(earlier, at + len(pattern), end)
    return start, end


def _patterns(tokenizer: Any, mode: Mode) -> tuple[Pattern, ...]:
    tag = f"<{mode}>"
    known = tokenizer.get_vocab()
    if tag in known:
        return ((known[tag],),)
    alone = tuple(tokenizer(tag, add_special_tokens=False)["input_ids"])
    return tuple(dict.fromkeys([*_in_place(tokenizer, mode, tag), alone]))


def _in_place(tokenizer: Any, mode: Mode, tag: str) -> list[Pattern]:
    """The tokens that cover the tag where the template has it: a tokenizer may join its ends with their neighbours."""
    if not tokenizer.is_fast:
        return []
    turn = Turn(user="x", judge_analysis="x", mode=mode, thinking="x" if mode is Mode.ON else "", answer="x")
    text = render(turn)
    start = text.index(tag)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    covered = zip(found["input_ids"], found["offset_mapping"], strict=True)
    return [tuple(token for token, (left, right) in covered if left < start + len(tag) and right > start)]
