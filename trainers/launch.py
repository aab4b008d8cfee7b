"""The command line that all trainers have: `python -m trainers.NAME CONFIG.yaml [--set key=value …]`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kat_data.errors import KatError
from trainers.config import load

Config = TypeVar("Config")


def launch(train: Callable[[Config], None], kind: type[Config], description: str | None, **switches: str) -> None:
    """Read the configuration and train; an expected error is one line on stderr and the error's exit code.

    Each of `switches` is a flag with its help, which sets the key of its name to true.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a YAML file; see trainers/configs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override outer.inner=value")
    for name, said in switches.items():
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=said)
    given = parser.parse_args()
    flags = [f"{name}=true" for name in switches if getattr(given, name)]
    try:
        train(load(given.config, kind, [*given.set, *flags]))
    except KatError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None
