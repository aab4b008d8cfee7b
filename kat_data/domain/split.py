"""Splits that are asked for beside the rows to train on, each with a share or a number of rows."""

import re
from collections.abc import Mapping
from typing import Final

from kat_data.errors import UserError

TRAIN: Final = "train"
"""The split of all that no other one takes."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_EVERY: Final = "all"
"""What `datasets` calls all splits together."""

_MOST: Final = 127
"""So many splits beside `train` have a number each in one byte of a row."""

_EXAMPLE: Final = "validation=0.05 or test=500"


def parse_splits(words: tuple[str, ...]) -> dict[str, float]:
    """Read splits as people write them, such as `validation=0.05`; raises `UserError` with one line."""
    asked: dict[str, float] = {}
    for word in words:
        name, _, amount = word.partition("=")
        if name in asked:
            raise UserError(f"--split {word}: there is a split {name} already")
        try:
            asked[name] = float(amount) if "." in amount else int(amount)
        except ValueError:
            raise UserError(f"--split {word}: write a share or a number of rows, as in {_EXAMPLE}") from None
    try:
        return check_splits(asked)
    except ValueError as error:
        raise UserError(f"--split: {error}") from None


def check_split_name(name: str) -> None:
    """Raise `ValueError` with one line unless `name` can name a split, here and for `datasets`."""
    if name == _EVERY or not _NAME.fullmatch(name):
        raise ValueError(
            f"`{name}` cannot name a split: use up to 64 of a-z, 0-9 and _ (no -), a letter or digit first, "
            f"and not `{_EVERY}`"
        )


def check_splits(asked: Mapping[str, float]) -> dict[str, float]:
    """Return what is asked for in the order of names; raises `ValueError` with one line that says what is wrong."""
    if len(asked) > _MOST:
        raise ValueError(f"{len(asked)} splits are asked for: ask for up to {_MOST} beside `{TRAIN}`")
    for name, amount in asked.items():
        check_split_name(name)
        if name == TRAIN:
            raise ValueError(f"`{TRAIN}` takes what the other splits leave: give it no share of its own")
        if isinstance(amount, float) and not 0 < amount < 1:
            raise ValueError(f"`{name}: {amount:g}` is no share: write one between 0 and 1, or a whole number of rows")
        if amount <= 0:
            raise ValueError(f"`{name}: {amount}` is no number of rows: write 1 or more, or a share such as 0.05")
    shares = sum(amount for amount in asked.values() if isinstance(amount, float))
    if shares >= 1:
        raise ValueError(f"the splits take {shares:g} of the rows, and leave none to train on")
    return dict(sorted(asked.items()))
