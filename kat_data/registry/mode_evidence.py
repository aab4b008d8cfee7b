"""How the modes that a run chose compare with what it measured."""

from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.proportion import wilson

Row = dict[str, Any]

# A measured turn compares where both modes have a rate. `chosen_*` is what the earlier choice brings in the mean over
# those turns, `measured_*` what following the measurement would; tokens are per answer.
EVIDENCE = """
    WITH measured AS (
        SELECT category, chosen_by, chosen, preferred,
            off_correct::float / nullif(off_n - off_undecided, 0) AS off_rate, off_tokens::float / off_n AS off_tokens,
            on_correct::float / nullif(on_n - on_undecided, 0) AS on_rate, on_tokens::float / on_n AS on_tokens,
            off_n + on_n AS answers, off_undecided + on_undecided AS undecided
        FROM mode_measurements JOIN queries ON queries.id = query_id WHERE run_id = :run
    ), valued AS (
        SELECT *,
            CASE chosen WHEN 'think_on' THEN on_rate ELSE off_rate END AS chosen_rate,
            CASE chosen WHEN 'think_on' THEN on_tokens ELSE off_tokens END AS chosen_tokens,
            CASE preferred WHEN 'think_on' THEN on_rate ELSE off_rate END AS measured_rate,
            CASE preferred WHEN 'think_on' THEN on_tokens ELSE off_tokens END AS measured_tokens
        FROM measured
    )
    SELECT category, chosen_by, count(*) AS turns, sum(answers) AS answers, sum(undecided) AS undecided,
        count(preferred) AS compared, count(*) FILTER (WHERE chosen = preferred) AS agreed,
        count(*) FILTER (WHERE chosen = 'think_on' AND preferred = 'think_on') AS on_on,
        count(*) FILTER (WHERE chosen = 'think_on' AND preferred = 'think_off') AS on_off,
        count(*) FILTER (WHERE chosen = 'think_off' AND preferred = 'think_on') AS off_on,
        count(*) FILTER (WHERE chosen = 'think_off' AND preferred = 'think_off') AS off_off,
        {means}
    FROM valued GROUP BY GROUPING SETS ((category, chosen_by), ()) HAVING count(*) > 0
    ORDER BY category NULLS LAST, chosen_by
""".format(
    means=", ".join(
        f"avg({way}_{what}) FILTER (WHERE preferred IS NOT NULL) AS {way}_{what}"
        for way in ("off", "on", "chosen", "measured")
        for what in ("rate", "tokens")
    )
)


def mode_evidence(connection: Connection, run: int) -> list[Row]:
    """Return agreement, confusion, accuracy and tokens by category and origin of the choice, and at last over all.

    The row over all has no category; a run that measured nothing has no rows.
    """
    rows = connection.execute(text(EVIDENCE), {"run": run})
    return [_row(dict(row._mapping)) for row in rows]


def _row(found: Row) -> Row:
    compared, agreed = found["compared"], found["agreed"]
    counts = {name: int(found.pop(name)) for name in ("turns", "answers", "undecided", "compared", "agreed")}
    confusion = {
        chosen: {preferred: found.pop(f"{chosen}_{preferred}") for preferred in ("on", "off")}
        for chosen in ("on", "off")
    }
    where = {name: found.pop(name) for name in ("category", "chosen_by")}
    interval = wilson(agreed, compared) if compared else None
    return {
        **where,
        **counts,
        "agreement": agreed / compared if compared else None,
        "agreement_interval": list(interval) if interval else None,
        "confusion": confusion,
        **found,
    }
