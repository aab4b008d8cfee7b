"""Why queries are taken out of everything that is made from now on."""

from enum import StrEnum


class WithdrawalKind(StrEnum):
    """What a withdrawal answers to; its reason is in its own words."""

    LICENCE = "licence"
    TAKEDOWN = "takedown"
    OTHER = "other"
