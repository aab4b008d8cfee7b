"""Calls of one model at one price, which gather until they go together."""

import asyncio
from dataclasses import dataclass, field

from kat_data.domain.batch import BatchRow
from kat_data.domain.call import Price
from kat_data.llm.batch import BatchClient


@dataclass(slots=True, kw_only=True)
class Lane:
    """Calls that wait to be handed in, by ledger key; providers take no batch of several models.

    `arrivals` counts all that ever came; `filled` is set while there are any.
    """

    endpoint: str
    price: Price
    rows: dict[bytes, BatchRow] = field(default_factory=dict)
    arrivals: int = 0
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, row: BatchRow) -> None:
        """Add one call."""
        self.rows[row.request.key] = row
        self.arrivals += 1
        self.filled.set()

    def take(self, client: BatchClient, most: int) -> tuple[dict[bytes, BatchRow], list[bytes]]:
        """Take the oldest calls, as many as one batch holds, with their lines."""
        rows: dict[bytes, BatchRow] = {}
        lines: list[bytes] = []
        size = 0
        while self.rows and len(rows) < most:
            key = next(iter(self.rows))
            line = client.line(self.rows[key].request)
            size += len(line)
            if rows and size > client.max_bytes:
                break
            rows[key] = self.rows.pop(key)
            lines.append(line)
        if not self.rows:
            self.filled.clear()
        return rows, lines
