"""Through which id the queries are complete: a pass that goes by ids may note as seen what is not above it."""

from kat_data.registry.session import Registry


def horizon(registry: Registry) -> int:
    """Return the id through which no query can turn up any more; waits for imports to end their transactions."""
    with registry.connection() as connection:
        # Ids are drawn before their transaction commits: without the lock a lower one could appear behind a higher.
        connection.execute("LOCK TABLE queries IN SHARE MODE")
        [through] = connection.execute("SELECT coalesce(max(id), 0) FROM queries").fetchone() or [0]
    return int(through)
