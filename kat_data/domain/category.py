"""The paper's six categories of queries (§4.1.2)."""

from enum import StrEnum


class Category(StrEnum):
    """What kind of task a query is; decides verifiers and the mixture of a snapshot."""

    CODE = "code"
    MATH = "math"
    SCIENCE = "science"
    GENERAL = "general"
    MULTI_TURN = "multi_turn"
    TOOL_USE = "tool_use"
