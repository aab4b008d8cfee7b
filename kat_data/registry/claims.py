"""The work queue's statements: claim, renew, move, give back, revive. A move is guarded by the item's lease token.

A worker lives as long as its session holds the advisory lock of its id; what a dead worker held is free at once.
`available_at` is the one time that decides who may claim: the end of a backoff, or of a lease.
"""

from functools import cache

WORKER_LOCK = 0x4B41  # the class of the workers' advisory locks
LEASE_SECONDS = 120

REGISTER_WORKER = "INSERT INTO workers (host, pid) VALUES (%(host)s, %(pid)s) RETURNING id"

HOLD_WORKER_LOCK = f"SELECT pg_advisory_lock({WORKER_LOCK}, %(worker)s::integer)"

ALIVE_WORKERS = f"""
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {WORKER_LOCK} AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# A worker never gets an item that it still holds, however late its lease: one item, one task.
CLAIM = f"""
    WITH picked AS (
        SELECT run_id, query_id FROM work_items
        WHERE run_id = %(run)s AND state = 'ready' AND available_at <= now()
          AND worker_id IS DISTINCT FROM %(worker)s
          AND EXISTS (SELECT FROM runs WHERE id = %(run)s AND state = 'open')
        ORDER BY available_at, query_id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
    UPDATE work_items AS item
    SET worker_id = %(worker)s, lease_token = item.lease_token + 1,
        available_at = now() + interval '{LEASE_SECONDS} seconds'
    FROM picked
    WHERE item.run_id = picked.run_id AND item.query_id = picked.query_id
    RETURNING item.query_id, item.turn, item.stage, item.attempts, item.lease_token, item.responses
"""

# Items that a step is moving now are passed over: it sets their times itself, and waiting for it could deadlock.
RENEW = f"""
    UPDATE work_items SET available_at = now() + interval '{LEASE_SECONDS} seconds'
    WHERE (run_id, query_id) IN (
        SELECT run_id, query_id FROM work_items WHERE worker_id = %(worker)s AND state = 'ready'
        FOR UPDATE SKIP LOCKED
    )
"""

# What a step writes stands behind its move in one statement, so that a lease lost meanwhile writes nothing.
MOVE = f"""
    UPDATE work_items AS item
    SET turn = new.turn, stage = new.stage, state = new.state, attempts = new.attempts,
        reason = new.reason, detail = new.detail,
        pool = coalesce(new.pool, item.pool), responses = coalesce(new.responses, item.responses),
        worker_id = CASE WHEN new.keep THEN item.worker_id END,
        available_at = now() + CASE WHEN new.keep THEN interval '{LEASE_SECONDS} seconds'
                                    ELSE new.delay * interval '1 second' END
    FROM json_to_recordset(%(moves)s) AS new(
        run_id bigint, query_id bigint, lease_token bigint, turn smallint, stage text, state text,
        attempts smallint, reason text, detail text, pool text, responses smallint, keep boolean,
        delay double precision)
    WHERE item.run_id = new.run_id AND item.query_id = new.query_id
      AND item.lease_token = new.lease_token AND item.state = 'ready'
    RETURNING item.run_id, item.query_id
"""

OUTPUT_COLUMNS = {
    "stage_attempts": "run_id, query_id, turn, stage, worker_id, started_at, seconds, outcome, error, calls",
    "tags": "run_id, query_id, position, model, difficulty, domain, verifiable, call, labels",
    "tag_summaries": "run_id, query_id, difficulty, spread, domain, verifiable, labels",
    "soft_labels": "run_id, query_id, reference, verifier, confidence, weighted",
    "soft_label_answers": "run_id, query_id, position, model, answer, rank, call, fault",
    "pass_rates": "run_id, query_id, policy, revision, mode, prompted, temperature, top_p, max_tokens, soft, "
    "k, correct, incorrect, undecided, tokens",
    "rollouts": "run_id, query_id, position, mode, outcome, status, tokens, call, evidence",
    "turns": "run_id, query_id, turn, mode, origin, margin, accepted, judge_analysis, results",
    "further": "run_id, query_id, turn, position, judge_analysis, kept",
    "intents": "run_id, query_id, turn, mode, place, text, wording, call",
    "mode_measurements": "run_id, query_id, turn, chosen, chosen_by, preferred, off_n, off_correct, off_undecided, "
    "off_tokens, on_n, on_correct, on_undecided, on_tokens",
    "scores": "run_id, query_id, turn, position, candidate, rewarder, dimension, value, reason, call",
    "votes": "run_id, query_id, turn, position, model, mode, reason, call",
    "candidates": "run_id, query_id, turn, position, mode, model, thinking, answer, tool_calls, rounds, calls, fault, "
    "tokens",
    "verdicts": "run_id, query_id, turn, position, number, verifier, outcome, status, reward, evidence",
    "samples": "hash, run_id, query_id, number, mode, stratum, sample, lineage",
}

# Rows that a later stage fills further.
GOES_ON = {
    "turns": """
        ON CONFLICT (run_id, query_id, turn) DO UPDATE SET mode = excluded.mode, origin = excluded.origin,
            margin = excluded.margin, accepted = excluded.accepted, judge_analysis = excluded.judge_analysis,
            results = excluded.results
    """,
    "further": """
        ON CONFLICT (run_id, query_id, turn, position) DO UPDATE SET judge_analysis = excluded.judge_analysis,
            kept = excluded.kept
    """,
}


@cache
def commit_statement(tables: frozenset[str]) -> str:
    """Return the statement that moves items and inserts rows of `tables` for the items that did move."""
    parts = [f"moved AS ({MOVE})"]
    for name in sorted(tables):
        columns = OUTPUT_COLUMNS[name]
        given = f"json_populate_recordset(NULL::{name}, %({name})s)"
        rows = f"SELECT {columns} FROM {given} JOIN moved USING (run_id, query_id)"
        again = GOES_ON.get(name, "")
        parts.append(f"{name}_written AS (INSERT INTO {name} ({columns}) {rows} {again})")
    return f"WITH {', '.join(parts)} SELECT run_id, query_id FROM moved"


GIVE_BACK = """
    UPDATE work_items SET worker_id = NULL, available_at = now()
    WHERE worker_id = %(worker)s AND state = 'ready'
"""

FREE_DEAD = f"""
    UPDATE work_items SET worker_id = NULL, available_at = now()
    WHERE (run_id, query_id) IN (
        SELECT run_id, query_id FROM work_items
        WHERE worker_id IS NOT NULL AND state = 'ready' AND worker_id NOT IN ({ALIVE_WORKERS})
        FOR UPDATE SKIP LOCKED
    )
"""

REVIVE = """
    UPDATE work_items SET state = 'ready', attempts = 0, reason = NULL, detail = NULL, worker_id = NULL,
        available_at = now()
    WHERE run_id = %(run)s AND state = 'dead'
"""

NEXT_AVAILABLE = """
    SELECT count(*), greatest(0, extract(epoch FROM min(available_at) - now()))::double precision
    FROM work_items WHERE run_id = %(run)s AND state = 'ready'
      AND EXISTS (SELECT FROM runs WHERE id = %(run)s AND state = 'open')
"""
