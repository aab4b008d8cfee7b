from enum import StrEnum
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from kat_data.testing.fabricate import fabricate


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    text: str = Field(min_length=30, max_length=40)
    more: "Inner | None" = None


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Colour
    kind: Literal["only"]
    score: int = Field(ge=1, le=10)
    above: int = Field(gt=3, lt=6)
    share: float = Field(gt=0, lt=1)
    flag: bool
    words: list[str] = Field(min_length=2)
    pair: tuple[int, str]
    inner: Inner
    perhaps: int | None
    nested: dict[str, list[int]] = Field(default_factory=dict)


@pytest.mark.parametrize("seed", range(50))
def test_every_instance_is_valid(seed):
    Outer.model_validate(fabricate(Outer.model_json_schema(), seed), strict=False)


def test_equal_seeds_are_equal_and_seeds_reach_every_choice():
    schema = Outer.model_json_schema()
    assert fabricate(schema, 1) == fabricate(schema, 1)
    instances = [fabricate(schema, seed) for seed in range(200)]
    assert {instance["colour"] for instance in instances} == {"red", "blue"}
    assert {instance["score"] for instance in instances} == set(range(1, 11))
    assert {instance["flag"] for instance in instances} == {True, False}
