"""Near-duplicates: queries alike but for a few words, in clusters of which one query stays."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """Whom a query is left out for, by content hashes: the representative of its cluster.

    `nearest` is the member that is most like the query, by `similarity`; a cluster may hold queries that are alike
    only through others.
    """

    representative: bytes
    nearest: bytes
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The cluster that a query is in, and who represents it, by their ids."""

    cluster: int
    representative: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """One cluster that comes of new pairs, by ids: the old ones in it, oldest first, its representative, and members.

    `members` are the queries of the new pairs; the oldest cluster takes them and the others in.
    """

    clusters: tuple[int, ...]
    representative: int
    members: tuple[int, ...]
