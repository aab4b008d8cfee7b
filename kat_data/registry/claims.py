"""The work queue's statements: claim, renew, move, give back, revive. A move is guarded by the item's lease token.

A worker lives as long as its session holds the advisory lock of its id and it says so at least once a lease; what a
dead worker held is free at once. `available_at` is the one time that decides who may claim: the end of a backoff, or
of a lease.
"""

from functools import cache

from kat_data.registry import tallies

WORKER_LOCK = 0x4B41  # the class of the workers' advisory locks
LEASE_SECONDS = 60

REGISTER_WORKER = "INSERT INTO workers (host, pid, run_id) VALUES (%(host)s, %(pid)s, %(run)s) RETURNING id"

HOLD_WORKER_LOCK = f"SELECT pg_advisory_lock({WORKER_LOCK}, %(worker)s::integer)"

LOCKED_WORKERS = f"""
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {WORKER_LOCK} AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# The server keeps the lock of a process that hangs, and for a while that of a machine that is gone.
ALIVE_WORKERS = f"""
    SELECT alive.id FROM workers AS alive WHERE alive.id IN ({LOCKED_WORKERS})
      AND alive.seen_at > now() - interval '{LEASE_SECONDS} seconds' AND alive.ended_at IS NULL
"""

# A machine that is gone lets go of its locks within half a minute, and not with the system's default after hours.
SESSION_SETTINGS = """
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 25000
"""

# A statement is planned once for a connection, perhaps while its table is small or has no statistics yet. What has a
# key is to be found by it also when the table has grown.
BY_KEYS = "SET enable_seqscan = off; SET enable_mergejoin = off"
# Groups of rows meet groups of rows here, and the planner takes each group for one row.
GROUPS_BY_KEYS = f"{BY_KEYS}; SET enable_nestloop = off"

# The stages are asked in the order given, and the rest of them only until the limit is reached.
# A worker never gets an item that it still holds, however late its lease: one item, one task.
CLAIM = f"""
    WITH picked AS (
        SELECT item.run_id, item.query_id FROM unnest(%(stages)s::text[]) AS asked(stage), LATERAL (
            SELECT run_id, query_id FROM work_items
            WHERE run_id = %(run)s AND stage = asked.stage AND state = 'ready' AND available_at <= now()
              AND worker_id IS DISTINCT FROM %(worker)s
            ORDER BY available_at, query_id
            LIMIT %(limit)s
            FOR UPDATE SKIP LOCKED
        ) AS item
        WHERE EXISTS (SELECT FROM runs WHERE id = %(run)s AND state = 'open')
        LIMIT %(limit)s
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
    WITH alive AS (UPDATE workers SET seen_at = now() WHERE id = %(worker)s)
    UPDATE work_items SET available_at = now() + interval '{LEASE_SECONDS} seconds'
    WHERE (run_id, query_id) IN (
        SELECT run_id, query_id FROM work_items WHERE worker_id = %(worker)s AND state = 'ready'
        FOR UPDATE SKIP LOCKED
    )
"""

# What a step writes stands behind its move in one statement, so that a lease lost meanwhile writes nothing.
# `queries` and the state as an expression keep the planner from reading all the ready items of all runs for these few.
MOVE = f"""
    UPDATE work_items AS item
    SET turn = new.turn, stage = new.stage, state = new.state, attempts = new.attempts,
        reason = new.reason, detail = new.detail,
        pool = coalesce(new.pool, item.pool), responses = coalesce(new.responses, item.responses),
        worker_id = CASE WHEN new.keep THEN item.worker_id END,
        available_at = now() + CASE WHEN new.keep THEN interval '{LEASE_SECONDS} seconds'
                                    ELSE new.delay * interval '1 second' END
    FROM json_to_recordset(%(moves)s) AS new(
        run_id bigint, query_id bigint, lease_token bigint, stage_before text, turn smallint, stage text, state text,
        attempts smallint, reason text, detail text, pool text, responses smallint, keep boolean,
        delay double precision)
    WHERE item.query_id = ANY(%(queries)s) AND item.run_id = new.run_id AND item.query_id = new.query_id
      AND item.lease_token = new.lease_token AND item.state || '' = 'ready'
    RETURNING item.run_id, item.query_id, new.stage_before, 'ready' AS state_before,
        new.stage AS stage_after, new.state AS state_after
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
    "samples": "hash, run_id, query_id, number, mode, stratum, sample, rendered, rendered_as, lineage",
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
    """Return the statement that moves items, inserts rows of `tables` for the items that did move, and counts both."""
    parts = [f"moved AS ({MOVE})"]
    for name in sorted(tables):
        columns = OUTPUT_COLUMNS[name]
        given = f"json_populate_recordset(NULL::{name}, %({name})s)"
        rows = f"SELECT {columns} FROM {given} JOIN moved USING (run_id, query_id)"
        again = GOES_ON.get(name, "")
        returned = f"RETURNING {tallies.RETURNED[name]}" if name in tallies.RETURNED else ""
        parts.append(f"{name}_written AS (INSERT INTO {name} ({columns}) {rows} {again} {returned})")
    parts.append(f"tallied AS ({tallies.step_outputs(tables, '%(worker)s::bigint')})")
    return f"WITH {', '.join(parts)} SELECT run_id, query_id FROM moved"


GIVE_BACK = """
    WITH ended AS (UPDATE workers SET ended_at = now() WHERE id = %(worker)s)
    UPDATE work_items SET worker_id = NULL, available_at = now()
    WHERE worker_id = %(worker)s AND state = 'ready'
"""

AT_WORK = f"SELECT EXISTS (SELECT FROM workers WHERE run_id = %(run)s AND id IN ({ALIVE_WORKERS}))"

STOP_LEFT = f"""
    UPDATE runs SET state = 'stopped', reason = 'interrupted'
    WHERE id = %(run)s AND state = 'open' AND executor = 'local' AND NOT ({AT_WORK}) RETURNING id
"""

# With its old token, one that was taken for dead and wakes cannot write, whether others have its items by then or not.
FREE_DEAD = f"""
    UPDATE work_items SET worker_id = NULL, lease_token = lease_token + 1, available_at = now()
    WHERE (run_id, query_id) IN (
        SELECT run_id, query_id FROM work_items
        WHERE worker_id IS NOT NULL AND state = 'ready' AND worker_id NOT IN ({ALIVE_WORKERS})
        FOR UPDATE SKIP LOCKED
    )
"""

REVIVE = f"""
    WITH revived AS (
        UPDATE work_items SET state = 'ready', attempts = 0, reason = NULL, detail = NULL, worker_id = NULL,
            available_at = now()
        WHERE run_id = %(run)s AND state = 'dead'
        RETURNING run_id, stage AS stage_before, 'dead' AS state_before, stage AS stage_after, state AS state_after
    ), tallied AS ({tallies.moved_items("revived")})
    SELECT count(*) FROM revived
"""

# Whether an item of the run is unfinished, at whatever stage, and when the next of these stages can be claimed.
NEXT_AVAILABLE = """
    SELECT
        EXISTS (SELECT FROM work_items WHERE run_id = %(run)s AND state = 'ready')
            AND EXISTS (SELECT FROM runs WHERE id = %(run)s AND state = 'open'),
        (SELECT greatest(0, extract(epoch FROM min(first.available_at) - now()))::double precision
            FROM unnest(%(stages)s::text[]) AS asked(stage), LATERAL (
                SELECT available_at FROM work_items
                WHERE run_id = %(run)s AND stage = asked.stage AND state = 'ready' ORDER BY available_at LIMIT 1
            ) AS first)
"""

# The fleet's open runs that have an item that can be claimed at one of their stages, or none that is ready at all:
# then the held are to be looked at, or the run is to be concluded.
OPEN_TO_FLEET = "SELECT id, recipe FROM runs WHERE state = 'open' AND executor = 'celery' ORDER BY id"

CLAIMABLE_STAGES = """
    SELECT asked.stage FROM unnest(%(stages)s::text[]) AS asked(stage) WHERE EXISTS (
        SELECT FROM work_items WHERE run_id = %(run)s AND stage = asked.stage AND state = 'ready'
            AND available_at <= now())
"""

ANY_READY = "SELECT EXISTS (SELECT FROM work_items WHERE run_id = %(run)s AND state = 'ready')"
