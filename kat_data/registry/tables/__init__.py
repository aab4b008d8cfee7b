"""The registry's tables. Inside the database rows have identity keys; what leaves it carries content hashes.

One file a noun, `columns` for what recurs; whoever imports `metadata` from here has every table.

sources ─< imports                what was read, and how far
sources ─< queries ─< query_conflicts
           queries ─< contamination >─ benchmark_items >─ benchmarks
           queries ─< allowances     hits that a person overruled
           queries ─< embeddings >─ embedders
           queries ─< near_duplicates, cluster_members >─ clusters
           queries ─< bands          by which near-duplicates are found; deduplication says how far
runs ─< work_items                the queue: one row per (run, query)
        ├─< semantic_clusters     what means nearly the same, before the first item is worked on
        ├─< stage_attempts        append-only history, with the ledger keys of each attempt
        ├─< tags, tag_summaries   once per query
        ├─< soft_labels, soft_label_answers
        ├─< pass_rates, rollouts  of one policy revision
        ├─< intents               directives that the run added to a query
        └─< turns ─< votes, mode_measurements, candidates ─< verdicts, scores, further
runs ─< samples ─< snapshot_rows >─ snapshots
           samples ─< decisions    of curators
training_runs ─< training_inputs   by the content hashes of snapshots
withdrawals ─< withdrawn_queries
runs ─< budget_slices             one row per worker at work: what it holds and has spent of the budget
calls, pruned_calls               the ledger, shared by all runs, and what is left of old calls
batches                           calls that travel together through a Batch API, by their batch_id
jobs                              the fleet's work that is not an item of a run
endpoint_limits ─< endpoint_slices, endpoint_spending      shared by all workers
tallies                           how many of everything a run has come to, by worker
"""

from kat_data.registry.tables import (
    batches,
    benchmarks,
    calls,
    decisions,
    facts,
    jobs,
    likeness,
    limits,
    queries,
    runs,
    samples,
    tallies,
    training,
    withdrawals,
)
from kat_data.registry.tables.columns import metadata

__all__ = [
    "batches",
    "benchmarks",
    "calls",
    "decisions",
    "facts",
    "jobs",
    "likeness",
    "limits",
    "metadata",
    "queries",
    "runs",
    "samples",
    "tallies",
    "training",
    "withdrawals",
]
