"""Rendered texts of samples that were accepted before these were stored, or for another stage of training."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

Row = dict[str, Any]

_UNRENDERED = text("""
    SELECT samples.id, sample, coalesce(soft_labels.reference, queries.reference) AS reference,
        CASE WHEN soft_labels.reference IS NULL THEN queries.verifier ELSE soft_labels.verifier END AS verifier,
        CASE WHEN soft_labels.reference IS NULL THEN 'source' ELSE 'soft' END AS reference_origin,
        correct::double precision / nullif(correct + incorrect, 0) AS pass_rate
    FROM samples JOIN queries ON queries.id = samples.query_id
    LEFT JOIN soft_labels USING (run_id, query_id)
    LEFT JOIN pass_rates USING (run_id, query_id)
    WHERE samples.id = ANY(:ids)
""")

_STORE = text("""
    UPDATE samples SET rendered = new.rendered, rendered_as = :stage
    FROM unnest((:ids)::bigint[], (:texts)::text[]) AS new(id, rendered) WHERE samples.id = new.id
""")


def load_samples(connection: Connection, ids: Sequence[int]) -> list[Row]:
    """Return these samples, with what is known of how answers to their queries are rewarded."""
    return [dict(row._mapping) for row in connection.execute(_UNRENDERED, {"ids": list(ids)})]


def store_texts(connection: Connection, stage: str, texts: dict[int, str]) -> None:
    """Store what samples, by their ids, are rendered as for a stage of training."""
    connection.execute(_STORE, {"stage": stage, "ids": list(texts), "texts": list(texts.values())})
