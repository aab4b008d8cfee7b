"""Handing in one batch: noted first, then sent, once."""

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import replace

from kat_data.domain.batch import Batch, BatchRow
from kat_data.domain.call import Price
from kat_data.errors import EndpointDown, EndpointRefused, RequestRejected, RunStopped
from kat_data.llm.batch import Unanswered
from kat_data.llm.batch_tools import BatchTools
from kat_data.llm.batch_under_way import UnderWay
from kat_data.llm.client import Transient
from kat_data.llm.endpoint import Endpoint

_LOST_ANSWER = 5.0  # seconds for a provider to list what it may have taken


async def hand_in(
    endpoint: Endpoint, price: Price, rows: dict[bytes, BatchRow], lines: Sequence[bytes], tools: BatchTools
) -> UnderWay | None:
    """Hand in a batch of these rows, of which each has a line; none where nothing went."""
    way, lines = await _noted(endpoint, price, rows, lines, tools)
    if not way.left:
        await tools.book.ended(way.batch.id, "never handed in")
        return None
    return way if await _submit(way, lines, tools) else None


async def _noted(
    endpoint: Endpoint, price: Price, rows: dict[bytes, BatchRow], lines: Sequence[bytes], tools: BatchTools
) -> tuple[UnderWay, Sequence[bytes]]:
    """Note the batch before it is handed in; rows whose keys are lost do not go with it."""
    assert endpoint.batch is not None
    batch = Batch(
        token=secrets.token_hex(12),
        endpoint=endpoint.name,
        place=endpoint.batch.place,
        price=price,
        created_at=tools.clock.now(),
        size=len(rows),
        rows=tuple(rows.values()),
    )
    ident, lost = await tools.book.open(batch)
    lines = [line for key, line in zip(rows, lines, strict=True) if key not in lost]
    for key in lost:
        tools.budget.refund(rows.pop(key).estimate)
        tools.waiters.resolve(key, Unanswered(reason="its key went to another worker", counts=False))
    return UnderWay(replace(batch, id=ident, size=len(rows), rows=()), rows, endpoint, tools), lines


async def _submit(way: UnderWay, lines: Sequence[bytes], tools: BatchTools) -> bool:
    """Send the batch, once: after a lost answer the provider is asked for it before another try."""
    endpoint, clock, waiters = way.endpoint, tools.clock, tools.waiters
    began, unsure = clock.monotonic(), False
    for retry in itertools.count():
        try:
            status = await way.find() if unsure else None
            unsure = False
            status = status or await way.client.submit(way.batch.token, lines)
            await way.submitted(status)
            return True
        except Transient as error:
            fault = error
            unsure = unsure or not (error.unreachable or error.throttled)
        except (RequestRejected, RunStopped) as error:
            whole = EndpointRefused(f"{error}: the whole batch is refused, correct the recipe")
            await _not_handed_in(way, unsure, error if isinstance(error, RunStopped) else whole, tools)
            return False
        if clock.monotonic() - began > endpoint.terms.patience:
            break
        wait = max(fault.retry_after or 0.0, endpoint.backoff.delay(retry, tools.rng))
        if await waiters.pause(max(wait, _LOST_ANSWER) if unsure else wait):
            break
    down = EndpointDown(f"{fault}: no batch can be handed in; resume the run later")
    await _not_handed_in(way, unsure, waiters.fault or down, tools)
    return False


async def _not_handed_in(way: UnderWay, unsure: bool, why: RunStopped, tools: BatchTools) -> None:
    """Stop the run; where an answer was lost, the next process finds out whether the batch was handed in."""
    if unsure:
        tools.waiters.end(why)
    else:
        await way.give_up("not handed in", why)
