"""The past: orders of ours that the venue remembers and the store does not.

They are there after a store was lost or restored. A signal whose order is among them is adopted, never
sent; one that no signal explains, once all signals were read, halts its symbol.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.contract import NotYet, PastOrder, Wait
from store.connection import FRESH_STAMP
from store.lifecycle import LATE_FILL_STATES
from store.records import Halt
from streams.signal import Signal
from streams.source import Feed
from worker.floor import Floor
from worker.patience import Patience
from worker.planning import CLIENT_ORDER_ID_PREFIX, client_order_id

NEW_STORE = "new_store"
NAMED_MAX = 3
ASK_AGAIN_S_MIN = 0.05
ASK_AGAIN_S_MAX = 30.0
# A reason that stays the same is told again this often.
TOLD_AGAIN_MS = 60_000


class Past:
    """The unexplained orders of one symbol, by client order id."""

    def __init__(self, feed: Feed, floor: Floor) -> None:
        self.orders: dict[str, PastOrder] = {}
        self._feed = feed
        self._symbol = feed.symbol
        self._floor = floor
        self._told = False
        self._asked = False
        # A store that is new, or an older copy, may have forgotten orders that the venue does not show yet.
        on_wire = floor.adapter.batch_max == 1
        self._fresh_ms = int(floor.ledger.stamps().get(FRESH_STAMP, "0")) if on_wire else 0
        floor.news.fresh_until_ms = self._fresh_ms + floor.unseen_ms if on_wire else 0

    def wait_for(self, signal: Signal) -> Wait | None:
        """Why this signal cannot be sent yet: another store may have sent it just before this one began.

        What came after the beginning of this store waits for nothing.
        """
        floor = self._floor
        if signal.ts_ms > self._fresh_ms:
            return None
        text = "the store is new: an order that another store sent may not be seen yet"
        return Wait(NEW_STORE, text, self._fresh_ms + floor.unseen_ms)

    async def look_again(self, patience: Patience) -> None:
        """When the time is over: whatever was sent before this store is seen now."""
        if self._fresh_ms and self._floor.clock.wall_ms() >= self._fresh_ms + self._floor.unseen_ms:
            await self.load(patience)

    async def load(self, patience: Patience) -> None:
        """Ask the venue, until it has answered in full; nothing is sent before."""
        floor = self._floor
        if floor.adapter.batch_max > 1:
            return
        since_ms = floor.clock.wall_ms() - floor.history_ms
        told: tuple[str, int] | None = None
        while not patience.stopping():
            asked_ms = floor.clock.wall_ms()
            found = await floor.adapter.past_orders(self._symbol, since_ms)
            if not isinstance(found, NotYet):
                await self._sort(found)
                if self.orders and not self._asked:
                    # An older copy that was put back shows itself by what it does not know.
                    self._fresh_ms = asked_ms
                    floor.news.fresh_until_ms = asked_ms + floor.unseen_ms
                self._asked = True
                if asked_ms >= self._fresh_ms + floor.unseen_ms:
                    self._fresh_ms = 0
                return
            if told is None or found.why != told[0] or asked_ms >= told[1] + TOLD_AGAIN_MS:
                told = (found.why, asked_ms)
                floor.report.waits_for_past(self._symbol, found.why)
            await patience.sleep_until(found.until_ms, least_s=ASK_AGAIN_S_MIN, most_s=ASK_AGAIN_S_MAX)

    async def _sort(self, found: Sequence[PastOrder]) -> None:
        """Orders without a row may be a signal's; a row that they prove wrong is put right or told of."""
        floor = self._floor
        ours = [order for order in found if order.update.client_order_id.startswith(CLIENT_ORDER_ID_PREFIX)]
        ids = {order.update.client_order_id for order in ours}
        rows = await floor.writer.call(lambda: floor.ledger.venue_orders(ids))
        accepted_until_ms = floor.gate.silent_until_ms(self._symbol)
        for order in ours:
            row = rows.get(order.update.client_order_id)
            if row is None:
                self.orders[order.update.client_order_id] = order
                continue
            state, venue_id = row
            # Of a second order under the id of a row, a person who resumed since then knows.
            is_ours = venue_id is None or order.update.exchange_order_id in (None, venue_id)
            is_evidence = state in LATE_FILL_STATES and (_lives(order) or order.update.filled_qty > 0)
            if (is_evidence and is_ours) or (not is_ours and order.at_ms > accepted_until_ms):
                await floor.news.apply(order.update)
        floor.news.unclaimed.update(self.orders)

    def of(self, signal: Signal) -> PastOrder | None:
        """The order of this signal, when the venue has it and the store has not."""
        return self.orders.get(client_order_id(signal.symbol, signal.signal_id))

    def explained(self, key: str) -> None:
        """The order has its row now."""
        self.orders.pop(key, None)
        self._floor.news.unclaimed.pop(key, None)

    async def read_to_the_end(self) -> None:
        """All signals that there are were read: what is still unexplained halts the symbol, once."""
        floor = self._floor
        if self._told or self._fresh_ms or not self.orders or self._feed.state().waiting_for is not None:
            return
        self._told = True
        accepted_until_ms = floor.gate.silent_until_ms(self._symbol)
        strange = [key for key, order in self.orders.items() if order.at_ms > accepted_until_ms]
        if not strange:
            return
        named = ", ".join(strange[:NAMED_MAX]) + (", …" if len(strange) > NAMED_MAX else "")
        await floor.halts.halt(
            Halt(
                scope=self._symbol,
                why=f"the exchange has {len(strange)} orders of {self._symbol} with our prefix that neither "
                f"the store nor a signal explains ({named}): compare them with the position, then resume",
                who="worker",
                at_ms=floor.clock.wall_ms(),
                new_only=True,
            )
        )


def _lives(order: PastOrder) -> bool:
    return order.update.state in ("open", "partial")
