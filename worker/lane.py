"""A lane: the main path of one symbol, from its feed to a settled outcome, in strict order.

Read, plan, take permits, reserve with the source position in one commit, check once more, send,
settle with the next commit. Nothing is sent that was not on disk before, and no later signal of the
symbol is sent while the fate of an earlier one is open.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from config.seams import crash_point
from store.records import Receipt, Share
from streams.signal import Malformed, Record, Signal
from streams.source import Batch, Feed
from worker.baselines import refresh_baseline
from worker.dispatch import Dispatch
from worker.floor import Floor, Taken
from worker.gate import Pending
from worker.past import NEW_STORE, Past
from worker.patience import Patience
from worker.planning import Decision, Eligible, Skip, plan
from worker.pulse import Pulse
from worker.rows import dead_letter_of, positions_of

# Records in one reservation: one read of 256 KiB, one prepared statement.
RECORDS_MAX = 1_200
# Without any hint for this long the source is read all the same: no lost hint lasts, and it is a turn.
NEWS_WAIT_S_MAX = 15.0
# A venue that asks to wait is asked again at least this often: a halt or a shorter ban may have come.
VENUE_WAIT_S_MAX = 1.0
VENUE_WAIT_S_MIN = 0.005


class Lane:
    """Runs one symbol. `stop` ends it after the order in flight has been settled."""

    def __init__(
        self, floor: Floor, feed: Feed, pulse: Pulse, *, start_ms: int | None, last_order_ts_ms: int
    ) -> None:
        self.symbol = feed.symbol
        self.queue_len = 0
        self.recovered = asyncio.Event()
        self._floor = floor
        self._feed = feed
        self._pulse = pulse
        self._patience = Patience(pulse, floor.clock)
        self._dispatch = Dispatch(feed.symbol, floor, self._patience)
        self._past = Past(feed, floor)
        self._start_ms = start_ms
        self._last_order_ts_ms = last_order_ts_ms
        # The end of the last halt after which the position was looked at.
        self._resumed_ms = floor.halts.silent_until_ms(feed.symbol)
        self._position_known = False
        # Why the venue takes no order now, for people.
        self._waits_because: str | None = None

    @property
    def feed(self) -> Feed:
        """The lane's feed, for its state."""
        return self._feed

    @property
    def blocked_by(self) -> str | None:
        """What holds the lane back, for people."""
        return self._dispatch.blocked_by or self._waits_because

    def stop(self) -> None:
        """End after what is in flight is settled; a lane that only waits ends at once."""
        self._patience.stop()

    async def run(self) -> None:
        """Recover, then work until stopped, or with `once` until the feed is drained.

        Raises StoreError when the store can no longer be trusted.
        """
        self._patience.begin()
        await self._past.load(self._patience)
        await self._dispatch.recover()
        await self._know_the_position(idle=True)
        self.recovered.set()
        while not self._patience.stopping():
            batch = await self._feed.read(RECORDS_MAX)
            self._pulse.turn()
            self._floor.report.flow.read(batch.records, self._floor.clock.wall_ms())
            await self._know_the_position(idle=not batch.records)
            if batch.records:
                await self._work(batch)
                continue
            await self._dispatch.settle()
            await self._look_again()
            await self._past.read_to_the_end()
            if self._floor.once:
                break
            await self._patience.wait(self._news(), NEWS_WAIT_S_MAX)
        await self._dispatch.settle()
        self._pulse.done()

    async def _know_the_position(self, *, idle: bool) -> None:
        """At the start, and after each resume: a person may have traded by hand while nothing was sent.

        Where an order was in doubt or working at the start, as soon as there is time and none is.
        """
        resumed_ms = self._floor.halts.silent_until_ms(self.symbol)
        due = resumed_ms != self._resumed_ms or (idle and not self._position_known)
        if not due or self._patience.stopping():
            return
        past = self._past.orders.values()
        if await refresh_baseline(self.symbol, self._floor, self._patience, past):
            self._position_known = True
            self._resumed_ms = resumed_ms

    async def _work(self, batch: Batch) -> None:
        start, count = 0, len(batch.records)
        while start < count and not self._patience.stopping():
            self.queue_len = count - start
            taken = self._take(batch.records, start)
            if taken.records == 0:
                await self._dispatch.settle()
                await self._wait_for_venue_or_permit(taken)
                continue
            self._waits_because = None
            end = start + taken.records
            await self._reserve(taken, batch, start, end)
            await self._dispatch.send()
            self._pulse.turn()
            start = end
        self.queue_len = 0

    async def _news(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEWS_WAIT_S_MAX):
                await self._feed.wait()

    async def _wait_for_venue_or_permit(self, taken: Taken) -> None:
        floor = self._floor
        if taken.wait is None:
            await self._dispatch.wait_for_permit()
            return
        floor.report.throttled(taken.wait.code)
        self._waits_because = taken.wait.text
        await self._patience.sleep_until(
            taken.wait.until_ms, least_s=VENUE_WAIT_S_MIN, most_s=VENUE_WAIT_S_MAX
        )
        if taken.wait.code == NEW_STORE:
            await self._look_again()

    async def _look_again(self) -> None:
        """An order that the venue shows only now was in its position already when that was taken."""
        known = set(self._past.orders)
        await self._past.look_again(self._patience)
        past = self._past.orders
        if past.keys() - known and not self._patience.stopping():
            await refresh_baseline(self.symbol, self._floor, self._patience, past.values())

    def _take(self, records: Sequence[Record], start: int) -> Taken:
        """Plan from `start` on, up to the first order that may not leave now."""
        floor = self._floor
        taken = Taken()
        now_ms = floor.gate.now_ms()
        halted = floor.gate.halted(self.symbol) is not None
        silent_until_ms = floor.gate.silent_until_ms(self.symbol)
        last_order_ts_ms = self._last_order_ts_ms
        for record in records[start : start + RECORDS_MAX]:
            if isinstance(record, Malformed):
                taken.malformed.append(record)
                taken.records += 1
                continue
            if self._start_ms is not None and record.ts_ms < self._start_ms:
                taken.records += 1
                continue
            if self._past.orders and self._adopted(taken, record, now_ms):
                break
            decision = plan(
                record,
                floor.rules,
                now_ms=now_ms,
                last_order_ts_ms=last_order_ts_ms,
                halted=halted or record.ts_ms <= silent_until_ms,
            )
            if isinstance(decision, Eligible):
                if not self._may_leave(taken, record):
                    break
                taken.permits += 1
                last_order_ts_ms = max(last_order_ts_ms, record.ts_ms)
            self._plan_row(taken, record, decision, now_ms)
            taken.records += 1
        return taken

    def _may_leave(self, taken: Taken, signal: Signal) -> bool:
        """Whether one more order fits: the venue takes it now, and there is a permit."""
        if taken.permits >= self._floor.adapter.batch_max:
            return False
        taken.wait = self._past.wait_for(signal) or self._floor.adapter.wait_for(self.symbol)
        return taken.wait is None and self._dispatch.permit()

    def _adopted(self, taken: Taken, signal: Signal, now_ms: int) -> bool:
        """Whether the venue has this signal's order already: then its row stands for that order.

        It needs a commit of its own, so what was taken before it goes first.
        """
        past = self._past.of(signal)
        if past is None:
            return False
        if taken.records == 0:
            reservation, order = self._floor.rows.adopted(signal, past, now_ms)
            taken.adopted = Pending(
                row_id=0, order=order, signal_ts_ms=signal.ts_ms, expiry_ms=signal.expiry_ms, attempts=1
            )
            taken.reservations.append(reservation)
            taken.records += 1
        return True

    def _plan_row(self, taken: Taken, signal: Signal, decision: Decision, now_ms: int) -> None:
        rows = self._floor.rows
        if isinstance(decision, Skip):
            taken.reservations.append(rows.skip(signal, decision, now_ms))
            return
        reservation, order = rows.order(signal, decision, now_ms, self._floor.gate.end_of_life_ms(signal))
        if order is not None:
            pending = Pending(row_id=0, order=order, signal_ts_ms=signal.ts_ms, expiry_ms=signal.expiry_ms)
            taken.orders.append((len(taken.reservations), pending))
        taken.reservations.append(reservation)

    async def _reserve(self, taken: Taken, batch: Batch, start: int, end: int) -> None:
        """One commit: the last outcomes, the new rows, the dead letters and the source position."""
        floor = self._floor
        share = Share(
            symbol=self.symbol,
            moves=self._dispatch.take_moves(),
            reservations=taken.reservations,
            positions=positions_of(batch.positions(start, end)),
            dead_letters=[dead_letter_of(malformed, floor.source_kind) for malformed in taken.malformed],
        )
        crash_point("before_reserve")
        at_once = taken.is_urgent and not floor.report.in_flight
        receipt = await self._dispatch.commit(share, at_once=at_once)
        crash_point("after_reserve")
        self._accept(taken, receipt)
        # Told when the loop turns next: an order that is due leaves first.
        asyncio.get_running_loop().call_soon(floor.report.committed, share, receipt)
        if taken.adopted is not None:
            await self._adopt(taken.adopted, receipt)

    def _accept(self, taken: Taken, receipt: Receipt) -> None:
        """Queue the orders whose rows are new, and only those."""
        ours = 0
        for index, pending in taken.orders:
            row_id = receipt.row_ids[index]
            if row_id is None:
                continue
            pending.row_id = row_id
            self._dispatch.queue(pending)
            self._last_order_ts_ms = max(self._last_order_ts_ms, pending.signal_ts_ms)
            ours += 1
        self._floor.permits.give_back(taken.permits - ours)

    async def _adopt(self, pending: Pending, receipt: Receipt) -> None:
        row_id = receipt.row_ids[0]
        if row_id is None:
            # The signal has a row that knows nothing of this order, which stays unexplained.
            return
        self._past.explained(pending.order.client_order_id)
        pending.row_id = row_id
        self._last_order_ts_ms = max(self._last_order_ts_ms, pending.signal_ts_ms)
        await self._dispatch.adopt(pending)
