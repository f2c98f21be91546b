"""News: later words of the venue on accepted orders, and evidence against what was thought to be over."""

from __future__ import annotations

from adapters.contract import OrderUpdate, PastOrder
from config.seams import Clock
from store.ledger import Ledger
from store.lifecycle import LATE_FILL_STATES, State, may_move
from store.records import Halt, Move, Share
from store.writer import Writer
from worker.halts import Halts
from worker.recent import Recent
from worker.report import Report
from worker.rows import accepted_move, late_fill_move

# How long the lane that sent an order may take to record the reply before the stream's word is recorded.
LANE_TURN_S = 0.01
LANE_TURNS_MAX = 50
# Orders that were told of, at the least; what is sent again is sent within minutes.
TOLD_KEPT = 16_384
SUCCESSES = ("open", "partial", "filled")
NEVER_AN_ORDER = (State.REJECTED, State.SKIPPED)


class News:
    """Applies updates to rows. `unclaimed` are orders that a signal yet to be read may explain."""

    def __init__(self, writer: Writer, ledger: Ledger, halts: Halts, report: Report, clock: Clock) -> None:
        self.unclaimed: dict[str, PastOrder] = {}
        self.fresh_until_ms = 0
        self._told = Recent(TOLD_KEPT)
        self._writer = writer
        self._ledger = ledger
        self._halts = halts
        self._report = report
        self._clock = clock

    def tells_of(self, client_order_id: str) -> bool:
        """Whether the venue has told of this order in this life: then it must not be sent again."""
        return client_order_id in self._told

    async def apply(self, update: OrderUpdate) -> None:
        """Record an update. A lane may take a step with the row after it was looked at: then look again.

        A stream is often faster than the reply: the lane gets a moment to record its own part first.
        """
        self._told.add(update.client_order_id)
        for _ in range(LANE_TURNS_MAX):
            found = await self._writer.call(lambda: self._ledger.row_of(update.client_order_id))
            if found is None or found[1] is not State.RESERVED:
                break
            await self._clock.sleep(LANE_TURN_S)
        for _ in State:
            if await self._recorded(update):
                return
        self._report.log.error(
            "update_not_recorded", client_order_id=update.client_order_id, state=update.state
        )

    async def _recorded(self, update: OrderUpdate) -> bool:
        """False when the row moved between the look and the commit."""
        writer = self._writer
        found = await writer.call(lambda: self._ledger.row_of(update.client_order_id))
        if found is None:
            await self._unexplained(update)
            return True
        row_id, before = found
        if await self._is_another(row_id, update):
            return True
        after = State(update.state)
        if before in LATE_FILL_STATES:
            return await self._after_the_end(row_id, before, update)
        if before is after and (after is not State.PARTIAL or await self._is_old(row_id, update)):
            return True
        if not may_move(before, after):
            return True
        return await self._commit(
            accepted_move(row_id, before, update, attempts=None, latency_ms=None), update
        )

    async def _is_another(self, row_id: int, update: OrderUpdate) -> bool:
        """Whether the venue tells of a second order under the client order id of this row: then it halts."""
        ours = await self._writer.call(lambda: self._ledger.exchange_order_id_of(row_id))
        if ours is None or update.exchange_order_id in (None, ours):
            return False
        symbol = await self._writer.call(lambda: self._ledger.symbol_of(row_id))
        why = (
            f"the exchange has two orders under {update.client_order_id}, {ours} and "
            f"{update.exchange_order_id}: compare the position with the executions, then resume"
        )
        self._report.log.error("second_order", symbol=symbol, client_order_id=update.client_order_id, why=why)
        await self._halt(symbol, why)
        return True

    async def _halt(self, scope: str, why: str) -> None:
        """Until a person resumes: a halt that ends by itself does not take this one along."""
        now_ms = self._clock.wall_ms()
        await self._halts.halt(Halt(scope=scope, why=why, who="worker", at_ms=now_ms, new_only=True))

    async def _commit(self, move: Move, update: OrderUpdate) -> bool:
        share = Share(symbol="", moves=[move])
        receipt = await self._writer.commit(share)
        if receipt.refused:
            return False
        self._report.committed(share, receipt)
        if update.state not in SUCCESSES or self._report.tells_success(update.client_order_id):
            self._report.log.event(
                f"order_{update.state}",
                row=move.row_id,
                client_order_id=update.client_order_id,
                qty=update.filled_qty,
                price=update.average_price,
            )
        return True

    async def _after_the_end(self, row_id: int, before: State, update: OrderUpdate) -> bool:
        """Whatever a final row does not tell: a fill, or an order that works and should never have been."""
        known = await self._writer.call(lambda: self._ledger.filled_of(row_id))
        if not update.filled_qty <= known:
            return await self._late(row_id, before, update)
        if before in NEVER_AN_ORDER and update.state in ("open", "partial"):
            symbol = await self._writer.call(lambda: self._ledger.symbol_of(row_id))
            why = (
                f"{update.client_order_id} was recorded as {before.value} and works at the exchange: cancel "
                "it there, then resume"
            )
            self._report.log.error(
                "order_works_after_all", symbol=symbol, client_order_id=update.client_order_id, why=why
            )
            await self._halt(symbol, why)
        return True

    async def _late(self, row_id: int, before: State, update: OrderUpdate) -> bool:
        """A fill of an order that was over: its symbol halts, and the row is put right."""
        symbol = await self._writer.call(lambda: self._ledger.symbol_of(row_id))
        why = (
            f"{update.client_order_id} was recorded as {before.value} and filled {update.filled_qty} all the "
            "same: compare the position with the executions, then resume"
        )
        # First: of a row that is right again, the next start would tell nobody.
        await self._halt(symbol, why)
        if not await self._commit(late_fill_move(row_id, before, update), update):
            return False
        self._report.metrics.late_fill()
        self._report.log.error("late_fill", symbol=symbol, client_order_id=update.client_order_id, why=why)
        return True

    async def _unexplained(self, update: OrderUpdate) -> None:
        """The venue tells of an order of ours without a row: another worker uses this account."""
        if update.client_order_id in self.unclaimed:
            return
        if self._clock.wall_ms() < self.fresh_until_ms:
            # The past is asked for again when that time is over; a signal may explain it then.
            self._report.log.warning("update_of_another_store", client_order_id=update.client_order_id)
            return
        self._report.log.error(
            "update_unexplained", client_order_id=update.client_order_id, state=update.state
        )
        why = (
            f"the exchange tells of order {update.client_order_id}, which has our prefix and no row: look "
            "for another worker or store on this account, then resume"
        )
        await self._halt(update.symbol or "", why)

    async def _is_old(self, row_id: int, update: OrderUpdate) -> bool:
        """Whether a partial fill tells nothing new: quantities are cumulative, news may be out of order."""
        known = await self._writer.call(lambda: self._ledger.quantity_of(row_id))
        return update.filled_qty <= known
