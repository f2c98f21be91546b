"""A lane: the main path of one symbol, from its feed to a settled outcome, in strict order.

Read, plan, take permits, reserve with the source position in one commit, check once more, send,
settle with the next commit. Nothing is sent that was not on disk before, and no later signal of the
symbol is sent while the fate of an earlier one is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import assert_never

from adapters.contract import Accepted, NotSent, Rejected, SubmitResult, Unknown
from config.seams import crash_point
from store.errors import StoreReplacedError
from store.lifecycle import State
from store.records import Move, Receipt, Share
from streams.signal import Malformed, Record, Signal
from streams.source import Batch, Feed
from worker.floor import Floor, Taken
from worker.gate import Pending
from worker.planning import Decision, Eligible, Skip, plan
from worker.pulse import Pulse
from worker.report import Burst
from worker.resolver import NotSentError
from worker.rows import (
    accepted_move,
    dead_letter_of,
    positions_of,
    refused_move,
    unknown_move,
)

# Records in one reservation: one read of 256 KiB, one prepared statement.
RECORDS_MAX = 1_200
# Without any hint for this long the source is read all the same: no lost hint lasts, and it is a turn.
NEWS_WAIT_S_MAX = 15.0


class Lane:
    """Runs one symbol. `stop` ends it after the order in flight has been settled."""

    def __init__(
        self, floor: Floor, feed: Feed, pulse: Pulse, *, start_ms: int | None, last_order_ts_ms: int
    ) -> None:
        self.symbol = feed.symbol
        self.queue_len = 0
        self.recovered = asyncio.Event()
        self.blocked_by: str | None = None
        self._floor = floor
        self._feed = feed
        self._pulse = pulse
        self._start_ms = start_ms
        self._last_order_ts_ms = last_order_ts_ms
        self._held_permits = 0
        self._pending: deque[Pending] = deque()
        self._moves: list[Move] = []
        self._stopping = False
        self._idle = False
        self._task: asyncio.Task[None] | None = None

    @property
    def feed(self) -> Feed:
        """The lane's feed, for its state."""
        return self._feed

    def stop(self) -> None:
        """End after what is in flight is settled; a lane that only waits ends at once."""
        self._stopping = True
        if self._idle and self._task is not None:
            self._task.cancel()

    def _asked_to_stop(self) -> bool:
        return self._stopping

    async def run(self) -> None:
        """Recover, then work until stopped, or with `once` until the feed is drained.

        Raises StoreError when the store can no longer be trusted.
        """
        self._task = asyncio.current_task()
        await self._recover()
        self.recovered.set()
        while not self._stopping:
            batch = await self._feed.read(RECORDS_MAX)
            self._pulse.turn()
            if batch.records:
                await self._work(batch)
                continue
            await self._settle()
            if self._floor.once:
                break
            await self._wait(self._news(), NEWS_WAIT_S_MAX)
        await self._settle()
        self._pulse.done()

    async def _recover(self) -> None:
        """Ask what became of every row of this symbol that was in flight, before anything new is sent."""
        self.blocked_by = "recovery at start"
        self._pending.extend(
            await self._floor.resolver.recover(self.symbol, self._sleep, self._asked_to_stop)
        )
        crash_point("in_recovery")
        self.blocked_by = None
        await self._send_pending()
        await self._settle()

    async def _work(self, batch: Batch) -> None:
        start, count = 0, len(batch.records)
        while start < count and not self._stopping:
            self.queue_len = count - start
            taken = self._take(batch.records, start)
            if taken.records == 0:
                await self._settle()
                await self._wait(self._take_permit(), math.inf)
                continue
            end = start + taken.records
            await self._reserve(taken, batch, start, end)
            await self._send_pending()
            self._pulse.turn()
            start = end
        self.queue_len = 0

    async def _news(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEWS_WAIT_S_MAX):
                await self._feed.wait()

    async def _take_permit(self) -> None:
        self._floor.report.throttled("rate")
        await self._floor.permits.take_one()
        self._held_permits += 1

    def _take(self, records: Sequence[Record], start: int) -> Taken:
        """Plan from `start` on, up to the first order for which there is no permit."""
        floor = self._floor
        now_ms = floor.clock.wall_ms()
        halted = floor.gate.halted()
        taken = Taken()
        last_order_ts_ms = self._last_order_ts_ms
        for record in records[start : start + RECORDS_MAX]:
            if isinstance(record, Malformed):
                taken.malformed.append(record)
                taken.records += 1
                continue
            if self._start_ms is not None and record.ts_ms < self._start_ms:
                taken.records += 1
                continue
            decision = plan(
                record, floor.rules, now_ms=now_ms, last_order_ts_ms=last_order_ts_ms, halted=halted
            )
            if isinstance(decision, Eligible):
                if taken.permits >= floor.adapter.batch_max or not self._permit():
                    break
                taken.permits += 1
                last_order_ts_ms = max(last_order_ts_ms, record.ts_ms)
            self._plan_row(taken, record, decision, now_ms)
            taken.records += 1
        return taken

    def _permit(self) -> bool:
        if self._held_permits:
            self._held_permits -= 1
            return True
        return self._floor.permits.take(1) == 1

    def _plan_row(self, taken: Taken, signal: Signal, decision: Decision, now_ms: int) -> None:
        rows = self._floor.rows
        if isinstance(decision, Skip):
            taken.reservations.append(rows.skip(signal, decision, now_ms))
            return
        reservation, order = rows.order(signal, decision, now_ms)
        if order is not None:
            pending = Pending(row_id=0, order=order, signal_ts_ms=signal.ts_ms, expiry_ms=signal.expiry_ms)
            taken.orders.append((len(taken.reservations), pending))
        taken.reservations.append(reservation)

    async def _reserve(self, taken: Taken, batch: Batch, start: int, end: int) -> None:
        """One commit: the last outcomes, the new rows, the dead letters and the source position."""
        floor = self._floor
        share = Share(
            symbol=self.symbol,
            moves=self._moves,
            reservations=taken.reservations,
            positions=positions_of(batch.positions(start, end)),
            dead_letters=[dead_letter_of(malformed, floor.source_kind) for malformed in taken.malformed],
        )
        self._moves = []
        crash_point("before_reserve")
        at_once = taken.is_urgent and not floor.report.in_flight
        receipt = await self._commit(share, at_once=at_once)
        crash_point("after_reserve")
        self._accept(taken, receipt)
        # Told when the loop turns next: an order that is due leaves first.
        asyncio.get_running_loop().call_soon(floor.report.committed, share, receipt)

    def _accept(self, taken: Taken, receipt: Receipt) -> None:
        """Queue the orders whose rows are new, and only those."""
        ours = 0
        for index, pending in taken.orders:
            row_id = receipt.row_ids[index]
            if row_id is None:
                continue
            pending.row_id = row_id
            self._pending.append(pending)
            self._last_order_ts_ms = max(self._last_order_ts_ms, pending.signal_ts_ms)
            ours += 1
        self._floor.permits.give_back(taken.permits - ours)

    async def _send_pending(self) -> None:
        """Send what is reserved, in order; an order that is stuck holds back those behind it.

        When stopping, a stuck row stays as it is: the next start asks about it.
        """
        while self._pending:
            count = self._permitted()
            stuck = await self._send_burst(count) if count else None
            if count == 0:
                await self._settle()
                await self._wait(self._take_permit(), math.inf)
            elif stuck is None:
                continue
            elif isinstance(stuck, Unknown):
                await self._resolve(stuck)
            elif not self._stopping:
                await self._retry_not_sent(stuck)
            if self._stopping:
                self._pending.clear()

    def _permitted(self) -> int:
        """How many orders at the head of the line may leave; one sent anew needs a permit of its own."""
        count = 0
        for pending in self._pending:
            pending.has_permit = pending.has_permit or self._permit()
            if not pending.has_permit:
                break
            count += 1
        return count

    async def _send_burst(self, count: int) -> NotSent | Unknown | None:
        """Send up to `count` orders in one slot; what got stuck, or None."""
        floor = self._floor
        if floor.slots.locked():
            floor.report.throttled("concurrency")
        async with floor.slots:
            # Looked at in the slot: the wait for it may have been long.
            if not floor.gate.store_intact():
                raise StoreReplacedError("the store was removed or replaced: nothing more is sent")
            burst = floor.report.burst(self.symbol)
            try:
                return await self._send_in_slot(burst, count)
            finally:
                burst.end()

    async def _send_in_slot(self, burst: Burst, count: int) -> NotSent | Unknown | None:
        floor = self._floor
        stuck: NotSent | Unknown | None = None
        halted = floor.gate.halted()
        while self._pending and stuck is None and count > 0:
            count -= 1
            pending = self._pending[0]
            refusal = floor.gate.refusal(pending, now_ms=floor.clock.wall_ms(), halted=halted)
            if refusal is not None:
                self._pending.popleft()
                floor.permits.give_back(1)
                self._moves.append(
                    refused_move(pending, State.RESERVED, State.SKIPPED, refusal.code, refusal.text)
                )
                burst.skipped(pending, refusal)
                continue
            crash_point("before_submit")
            started_s = floor.clock.monotonic_s()
            result = await floor.adapter.submit(pending.order)
            latency_ms = round((floor.clock.monotonic_s() - started_s) * 1000, 3)
            crash_point("after_submit")
            stuck = self._note(pending, result, latency_ms)
            burst.answered(pending, result, latency_ms)
        return stuck

    def _note(self, pending: Pending, result: SubmitResult, latency_ms: float) -> NotSent | Unknown | None:
        """Turn an answer into a move; what is not definite is handed back."""
        match result:
            case Accepted(update=update):
                pending.attempts += 1
                self._moves.append(
                    accepted_move(
                        pending.row_id,
                        State.RESERVED,
                        update,
                        attempts=pending.attempts,
                        latency_ms=latency_ms,
                    )
                )
            case Rejected(code=code, text=text):
                pending.attempts += 1
                self._moves.append(refused_move(pending, State.RESERVED, State.REJECTED, code, text))
            case NotSent():
                return result
            case Unknown():
                pending.attempts += 1
                return result
            case _:
                assert_never(result)
        self._pending.popleft()
        return None

    async def _retry_not_sent(self, first: NotSent) -> None:
        """The head order provably never left: try it again, each time with all checks, while it lives."""
        await self._settle()
        pending = self._pending[0]

        async def sleep(delay_s: float) -> None:
            left_s = self._floor.gate.life_left_s(pending, now_ms=self._floor.clock.wall_ms())
            await self._sleep(min(delay_s, left_s))

        async def attempt() -> None:
            # A wait that `stop` has cut short may have had a venue's deadline at its end.
            if self._stopping:
                raise NotSentError(first)
            stuck = await self._send_burst(1)
            if isinstance(stuck, NotSent):
                raise NotSentError(stuck)
            if isinstance(stuck, Unknown):
                await self._resolve(stuck)

        self._floor.report.retried()
        await sleep(self._floor.retrying.delay_s(first, 0))
        try:
            await self._floor.retrying(sleep, self._asked_to_stop)(attempt)
        except NotSentError as error:
            if self._stopping:
                return
            last = error.answer
            self._pending.popleft()
            self._floor.permits.give_back(1)
            self._moves.append(refused_move(pending, State.RESERVED, State.REJECTED, last.code, last.text))

    async def _resolve(self, unknown: Unknown) -> None:
        """The head order may have been accepted: record that first, then ask until there is proof."""
        pending = self._pending.popleft()
        self._moves.append(unknown_move(pending, State.RESERVED, unknown.why))
        await self._settle()
        self.blocked_by = f"{pending.order.client_order_id} is unknown: {unknown.why}"
        verdict = await self._floor.resolver.settle(pending, self._sleep, self._asked_to_stop)
        if verdict is not None:
            self._moves.append(verdict.move)
            # A row that somebody else settled meanwhile refuses the move, and is not sent again.
            if await self._settle() and verdict.send_again:
                pending.has_permit = False
                self._pending.appendleft(pending)
            if verdict.move.after is State.QUARANTINED:
                await self._floor.resolver.until_released(self.symbol, self._sleep, self._asked_to_stop)
        self.blocked_by = None

    async def _settle(self) -> bool:
        """Commit the outcomes that still wait for a commit to ride on; whether all of them were legal."""
        if not self._moves:
            return True
        share = Share(symbol=self.symbol, moves=self._moves)
        self._moves = []
        crash_point("before_settle")
        receipt = await self._commit(share)
        crash_point("after_settle")
        self._floor.report.committed(share, receipt)
        return not receipt.refused

    async def _commit(self, share: Share, *, at_once: bool = False) -> Receipt:
        """Wait for the disk for as long as it takes; meanwhile the writer shows the life, not the lane."""
        self._pulse.waits(math.inf)
        receipt = await self._floor.writer.commit(share, at_once=at_once)
        self._pulse.turn()
        return receipt

    async def _sleep(self, delay_s: float) -> None:
        await self._wait(self._floor.clock.sleep(delay_s), delay_s)

    async def _wait(self, waiting: Awaitable[None], declared_s: float) -> None:
        """Wait in a way that `stop` ends at once, and that the watchdog knows of."""
        if self._stopping:
            if asyncio.iscoroutine(waiting):
                waiting.close()
            return
        self._pulse.waits(declared_s)
        self._idle = True
        try:
            await waiting
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._idle = False
        self._pulse.turn()
