"""Counters of a run, written by the statements that make what they count: reading them scans no big table.

Each worker adds to rows of its own, so that workers never wait for one another; the sum over workers is the number.
"""

NOBODY = 0  # the worker of what no worker does: opening a run, a round, a revival

ADD = """
    ON CONFLICT (run_id, worker_id, kind, name, outcome) DO UPDATE SET count = tallies.count + excluded.count,
        tokens = tallies.tokens + excluded.tokens, usd = tallies.usd + excluded.usd,
        seconds = tallies.seconds + excluded.seconds
"""

# What one inserted row of each table adds, as the rows that its INSERT returns.
WRITTEN = {
    "stage_attempts": ("attempt", "stage", "outcome", "seconds"),
    "verdicts": ("verdict", "verifier", "outcome", "0"),
    "samples": ("sample", "coalesce(mode, 'pair')", "'accepted'", "0"),
}
RETURNED = {
    "stage_attempts": "run_id, stage, outcome, seconds",
    "verdicts": "run_id, verifier, outcome",
    "samples": "run_id, mode",
}

# A finished run's rows become one a number; a straggler's call may still make a new one.
FOLD = f"""
    WITH gone AS (
        DELETE FROM tallies WHERE run_id = :run AND worker_id <> {NOBODY} RETURNING *
    )
    INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count, tokens, usd, seconds)
    SELECT run_id, {NOBODY}, kind, name, outcome, sum(count), sum(tokens), sum(usd), sum(seconds)
    FROM gone GROUP BY run_id, kind, name, outcome
    {ADD}
"""


def moved_items(moves: str, worker: str = str(NOBODY)) -> str:
    """Return the statement that counts items from where they were to where they are.

    `moves` is a relation of `run_id, stage_before, state_before, stage_after, state_after`.
    """
    return _insert(f"SELECT * FROM ({_differences(moves)}) AS items", worker)


def step_outputs(tables: frozenset[str], worker: str) -> str:
    """Return the statement that counts what a commit moved (in `moved`) and wrote (in `…_written`)."""
    counted = [_differences("moved")]
    for table in sorted(tables & WRITTEN.keys()):
        kind, name, outcome, seconds = WRITTEN[table]
        counted.append(
            f"SELECT run_id, '{kind}', {name}, {outcome}, count(*), sum({seconds}) FROM {table}_written"
            f" GROUP BY 1, 2, 3, 4"
        )
    return _insert(" UNION ALL ".join(counted), worker)


def _differences(moves: str) -> str:
    return f"""
        SELECT run_id, 'item' AS kind, name, outcome, sum(one) AS count, 0.0 AS seconds FROM (
            SELECT run_id, stage_before AS name, state_before AS outcome, -1 AS one FROM {moves}
            UNION ALL SELECT run_id, stage_after, state_after, 1 FROM {moves}
        ) AS difference
        GROUP BY run_id, name, outcome HAVING sum(one) <> 0
    """


def _insert(rows: str, worker: str) -> str:
    return f"""
        INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count, seconds)
        SELECT run_id, {worker}, kind, name, outcome, count, seconds FROM ({rows}) AS new
        {ADD}
    """
