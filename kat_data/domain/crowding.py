"""Crowding: queries that mean nearly the same as others of their run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowding:
    """A semantic cluster of a run in which a query is one too many.

    `representative` is the text of the query nearest to the cluster's centre, `rank` the query's place in the order in
    which the cluster's `size` queries are kept, from 1; `similarity` is its cosine to the centre.
    """

    representative: str
    size: int
    rank: int
    similarity: float
