"""Baselines: what the account held before this store, and what others have changed since.

A limit on the position and the proof that an order is absent both need the position that the rows add
up to. The venue's own number, minus the rows, is what the rows do not know. On spot it serves the limit
alone: a balance is what the rows add up to less the fees that were taken from it, which a restart finds out.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from adapters.contract import NotYet, PastOrder
from store.records import Share
from worker.floor import Floor
from worker.patience import Patience

BASELINE_STAMP = "baseline:"
ASK_AGAIN_S_MIN = 0.05
ASK_AGAIN_S_MAX = 30.0
# Two answers this far apart that agree are the position; on an account where others trade the last one is.
CONFIRM_S = 2.0
ASKED_MAX = 5


async def refresh_baseline(symbol: str, floor: Floor, patience: Patience, past: Iterable[PastOrder]) -> bool:
    """Take the venue's position as the truth while no order of the symbol is in doubt or working.

    False with one in doubt, where the old baseline stays: the difference may be that very order. `past` are
    orders that have no row yet and may get one.
    """
    if floor.adapter.batch_max > 1:
        return True
    if await floor.writer.call(lambda: floor.ledger.unsettled(symbol)):
        return False
    before = (await floor.writer.call(floor.ledger.stamps)).get(BASELINE_STAMP + symbol)
    # Those that a person has accepted by a resume belong to nobody here any more.
    accepted_until_ms = floor.gate.silent_until_ms(symbol)
    unclaimed = _filled(order for order in past if order.at_ms > accepted_until_ms)
    last: Decimal | None = None
    baseline = position = Decimal(0)
    for _ in range(ASKED_MAX):
        answer = await _position(symbol, floor, patience)
        if answer is None:
            return False
        position = answer
        holding = await floor.writer.call(lambda: floor.ledger.holding(symbol))
        baseline = position - unclaimed - holding
        if before is None or baseline in (Decimal(before), last):
            break
        # A position is shown a moment later than the fill that made it: one that differs is asked for again.
        last = baseline
        await patience.sleep(CONFIRM_S)
    if patience.stopping():
        return False
    await _keep(symbol, before, baseline, position, floor)
    return True


async def _position(symbol: str, floor: Floor, patience: Patience) -> Decimal | None:
    """The venue's answer, however long it takes; None when the worker stops before."""
    while not patience.stopping():
        position = await floor.adapter.get_position(symbol)
        if not isinstance(position, NotYet):
            return position
        floor.report.waits_for_past(symbol, position.why)
        await patience.sleep_until(position.until_ms, least_s=ASK_AGAIN_S_MIN, most_s=ASK_AGAIN_S_MAX)
    return None


def _filled(past: Iterable[PastOrder]) -> Decimal:
    signed = (order.update.filled_qty if order.side == "buy" else -order.update.filled_qty for order in past)
    return sum(signed, Decimal(0))


async def _keep(symbol: str, before: str | None, baseline: Decimal, position: Decimal, floor: Floor) -> None:
    if before is not None and Decimal(before) == baseline:
        return
    if before is not None and not floor.adapter.position_is_exact:
        # Fees alone make a spot balance less than what was bought: no sign of anything.
        floor.report.log.event("balance_moved", symbol=symbol, balance=position, apart_from_orders=baseline)
    elif before is not None:
        floor.report.log.warning(
            "position_differs",
            symbol=symbol,
            position=position,
            expected=position - baseline + Decimal(before),
            why="somebody else traded on this account, or an order is missing from the executions",
        )
    await floor.writer.commit(Share(symbol="", stamps={BASELINE_STAMP + symbol: format(baseline, "f")}))
