"""Baselines: what the account held before this store, and what others have changed since.

A limit on the position and the proof that an order is absent both need the position that the rows add
up to. The venue's own number, minus the rows, is what the rows do not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from adapters.contract import NotYet, PastOrder
from store.records import Share
from worker.floor import Floor
from worker.patience import Patience

BASELINE_STAMP = "baseline:"
ASK_AGAIN_S_MAX = 30.0


async def refresh_baseline(symbol: str, floor: Floor, patience: Patience, past: Iterable[PastOrder]) -> None:
    """Take the venue's position as the truth while no order of the symbol is in doubt or working.

    With one in doubt the old baseline stays: the difference may be that very order. `past` are orders
    that have no row yet and may get one.
    """
    if floor.adapter.batch_max > 1:
        return
    doubtful = await floor.writer.call(lambda: floor.ledger.unsettled(symbol))
    if doubtful:
        return
    while not patience.stopping():
        position = await floor.adapter.get_position(symbol)
        if not isinstance(position, NotYet):
            await _keep(symbol, position - _filled(past), floor)
            return
        floor.report.waits_for_past(symbol, position.why)
        delay_s = (position.until_ms - floor.clock.wall_ms()) / 1000
        await patience.sleep(min(ASK_AGAIN_S_MAX, max(0.05, delay_s)))


def _filled(past: Iterable[PastOrder]) -> Decimal:
    signed = (order.update.filled_qty if order.side == "buy" else -order.update.filled_qty for order in past)
    return sum(signed, Decimal(0))


async def _keep(symbol: str, position: Decimal, floor: Floor) -> None:
    holding = await floor.writer.call(lambda: floor.ledger.holding(symbol))
    stamps = await floor.writer.call(floor.ledger.stamps)
    key = BASELINE_STAMP + symbol
    before = stamps.get(key)
    baseline = position - holding
    if before is not None and Decimal(before) == baseline:
        return
    if before is not None:
        floor.report.log.warning(
            "position_differs",
            symbol=symbol,
            position=position,
            expected=Decimal(before) + holding,
            why="somebody else traded on this account, or an order is missing from the executions",
        )
    await floor.writer.commit(Share(symbol="", stamps={key: format(baseline, "f")}))
