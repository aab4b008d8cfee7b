"""How users say whether to think: the wordings of a data file, by language, mode and register."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from kat_data.domain.mode import Mode
from kat_data.hashing import sha256

Language = Literal["en", "zh"]

SYSTEM = "system"
"""The register of an operator; all others are a user's."""

_HAN = re.compile(r"[\u4e00-\u9fff]")
_LETTERS = re.compile(r"[^\W\d_]")
_KANA = re.compile(r"[\u3040-\u30ff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """The texts of one mode in one language: a user's and an operator's."""

    user: tuple[str, ...]
    system: tuple[str, ...]


@cache
def load_wordings(version: str) -> Mapping[tuple[Language, Mode], Wordings]:
    """Read the shipped wordings of one version, such as `v1`."""
    import yaml

    return {
        (language, Mode(mode)): _wordings(registers)
        for language, modes in yaml.safe_load(_file(version)).items()
        for mode, registers in modes.items()
    }


@cache
def wordings_hash(version: str) -> str:
    """Return the SHA-256 digest, hex, of the shipped wordings' file."""
    return sha256(_file(version)).hex()


def _file(version: str) -> bytes:
    return files("kat_data.stages").joinpath("wordings", f"intents.{version}.yaml").read_bytes()


def _wordings(registers: Mapping[str, list[str]]) -> Wordings:
    user = (text for register, texts in registers.items() if register != SYSTEM for text in texts)
    return Wordings(user=tuple(user), system=tuple(registers[SYSTEM]))


def language_of(text: str) -> Language:
    """Return the language in which a user of `text` would speak of thinking; English where it is not Chinese."""
    if _KANA.search(text):
        return "en"
    han = len(_HAN.findall(text))
    # A Chinese character says about as much as two or three Latin letters do.
    return "zh" if 3 * han > len(_LETTERS.findall(text)) - han else "en"
