"""Dispatch: the reserved orders of one symbol, sent in order and settled with a next commit.

Just before each send everything is checked once more. An order whose fate is open holds back all that
come after it; nothing is ever sent again on a guess.
"""

from __future__ import annotations

import math
from collections import deque
from typing import assert_never

from adapters.contract import Accepted, Guard, NotSent, Rejected, SubmitResult, Unknown
from config.seams import crash_point
from store.errors import StoreReplacedError
from store.lifecycle import State
from store.records import Move, Receipt, Share
from worker.floor import Floor
from worker.gate import Pending
from worker.patience import Patience
from worker.report import Burst
from worker.resolver import NotSentError
from worker.rows import accepted_move, refused_move, renewed_move, unknown_move

# A venue that lets every new window pass unused is treated like one that cannot be reached.
RENEWALS_MAX = 3
TOLD = "the venue tells of this order already"


class Dispatch:
    """Sends what its lane has reserved. `blocked_by` says what holds it back, for people."""

    def __init__(self, symbol: str, floor: Floor, patience: Patience) -> None:
        self.symbol = symbol
        self.blocked_by: str | None = None
        self._floor = floor
        self._patience = patience
        self._held_permits = 0
        self._pending: deque[Pending] = deque()
        self._moves: list[Move] = []

    def queue(self, pending: Pending) -> None:
        """An order whose row is on disk, to be sent after those before it."""
        self._pending.append(pending)

    def take_moves(self) -> list[Move]:
        """The outcomes that wait for a commit to ride on."""
        moves, self._moves = self._moves, []
        return moves

    def permit(self) -> bool:
        """Take a permit for one order, if there is one now."""
        if self._held_permits:
            self._held_permits -= 1
            return True
        return self._floor.permits.take(1) == 1

    async def wait_for_permit(self) -> None:
        """Take a permit that the next `permit` gives, waiting for it in turn."""
        await self._patience.wait(self._take_permit(), math.inf)

    async def _take_permit(self) -> None:
        self._floor.report.throttled("rate")
        await self._floor.permits.take_one()
        self._held_permits += 1

    async def recover(self) -> None:
        """Ask what became of every row of this symbol that was in flight, before anything new is sent."""
        self.blocked_by = "recovery at start"
        self._pending.extend(await self._floor.resolver.recover(self.symbol, self._patience))
        crash_point("in_recovery")
        self.blocked_by = None
        await self.send()
        await self.settle()

    async def send(self) -> None:
        """Send what is reserved, in order; an order that is stuck holds back those behind it.

        When stopping, a stuck row stays as it is: the next start asks about it.
        """
        renewals = 0
        while self._pending:
            count = self._permitted()
            stuck = await self._send_burst(count) if count else None
            if count == 0:
                await self.settle()
                await self.wait_for_permit()
            elif stuck is None:
                renewals = 0
            elif isinstance(stuck, Unknown):
                await self._resolve(stuck.why)
            elif stuck.code == "window_passed" and renewals < RENEWALS_MAX:
                renewals += 1
                await self._renew()
            elif not self._patience.stopping():
                await self._retry_not_sent(stuck)
            if self._patience.stopping():
                self._pending.clear()

    def _permitted(self) -> int:
        """How many orders at the head of the line may leave; one sent anew needs a permit of its own."""
        count = 0
        for pending in self._pending:
            pending.has_permit = pending.has_permit or self.permit()
            if not pending.has_permit:
                break
            count += 1
        return count

    async def _send_burst(self, count: int) -> NotSent | Unknown | None:
        """Send up to `count` orders in one slot; what got stuck, or None."""
        floor = self._floor
        if floor.slots.locked():
            floor.report.throttled("concurrency")
            # Those who hold the slots show the life.
            self._patience.pulse.waits(math.inf)
        async with floor.slots:
            self._patience.pulse.turn()
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
        halted = floor.gate.halted(self.symbol)
        silent_until_ms = floor.gate.silent_until_ms(self.symbol)
        while self._pending and stuck is None and count > 0:
            count -= 1
            pending = self._pending[0]
            if floor.news.tells_of(pending.order.client_order_id):
                pending.attempts += 1
                return Unknown(TOLD)
            refusal = floor.gate.refusal(pending, halted=halted, silent_until_ms=silent_until_ms)
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
            result = await floor.adapter.submit(pending.order, self._last_word(pending))
            latency_ms = round((floor.clock.monotonic_s() - started_s) * 1000, 3)
            crash_point("after_submit")
            stuck = self._note(pending, result, latency_ms)
            burst.answered(pending, result, latency_ms)
        return stuck

    def _last_word(self, pending: Pending) -> Guard:
        """Asked when the first byte is about to leave."""
        news, guard = self._floor.news, self._floor.gate.guard(pending)
        return lambda: TOLD if news.tells_of(pending.order.client_order_id) else guard()

    def _note(self, pending: Pending, result: SubmitResult, latency_ms: float) -> NotSent | Unknown | None:
        """Turn an answer into a move; what is not definite is handed back."""
        match result:
            case Accepted():
                pending.attempts += 1
                self._moves.append(
                    accepted_move(
                        pending.row_id,
                        State.RESERVED,
                        result.update,
                        attempts=pending.attempts,
                        latency_ms=latency_ms,
                        sent_ts_ms=result.sent_ts_ms,
                        ack_ts_ms=result.ack_ts_ms,
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

    async def _renew(self) -> None:
        """The head order was too late for its window and provably never left: a new one, on disk first."""
        pending = self._pending[0]
        order = self._floor.adapter.renew(pending.order, self._floor.gate.life_end_ms(pending))
        self._moves.append(renewed_move(pending, State.RESERVED, order, "a new window"))
        if await self.settle():
            pending.order = order
        else:
            self._pending.popleft()

    async def _retry_not_sent(self, first: NotSent) -> None:
        """The head order provably never left: try it again, each time with all checks, while it lives."""
        await self.settle()
        pending = self._pending[0]
        patience = self._patience

        async def sleep(delay_s: float) -> None:
            await patience.sleep(min(delay_s, self._floor.gate.life_left_s(pending)))

        async def attempt() -> None:
            # A wait that a stop has cut short may have had a venue's deadline at its end.
            if patience.stopping():
                raise NotSentError(first)
            stuck = await self._send_burst(1)
            if isinstance(stuck, NotSent) and stuck.code == "window_passed":
                # At once: a new window would pass in a pause that is longer than it.
                await self._renew()
                if not self._pending or self._pending[0] is not pending:
                    return
                stuck = await self._send_burst(1)
            if isinstance(stuck, NotSent):
                raise NotSentError(stuck)
            if isinstance(stuck, Unknown):
                await self._resolve(stuck.why)

        self._floor.report.retried()
        await sleep(self._floor.retrying.delay_s(first, 0))
        try:
            await self._floor.retrying(sleep, patience.stopping)(attempt)
        except NotSentError as error:
            if patience.stopping() or not self._pending or self._pending[0] is not pending:
                return
            last = error.answer
            self._pending.popleft()
            self._floor.permits.give_back(1)
            self._moves.append(refused_move(pending, State.RESERVED, State.REJECTED, last.code, last.text))

    async def adopt(self, pending: Pending) -> None:
        """A row for an order that the venue has already: ask about it like any other in doubt."""
        self._pending.appendleft(pending)
        await self._resolve("the venue knows its client order id already")

    async def _resolve(self, why: str) -> None:
        """The head order may have been accepted: record that first, then ask until there is proof."""
        pending = self._pending.popleft()
        self._moves.append(unknown_move(pending, State.RESERVED, why))
        await self.settle()
        self.blocked_by = f"{pending.order.client_order_id} is unknown: {why}"
        verdict = await self._floor.resolver.settle(pending, self._patience)
        if verdict is not None:
            self._moves.append(verdict.move)
            # A row that somebody else settled meanwhile refuses the move, and is not sent again.
            if not await self.settle():
                # The venue's news were quicker, and perhaps not the last ones.
                self._floor.adapter.watch(pending.order)
            elif verdict.send_again is not None:
                pending.order = verdict.send_again
                pending.has_permit = False
                self._pending.appendleft(pending)
            if verdict.move.after is State.QUARANTINED:
                await self._floor.resolver.until_released(self.symbol, self._patience)
        self.blocked_by = None

    async def settle(self) -> bool:
        """Commit the outcomes that still wait for a commit to ride on; whether all of them were legal."""
        if not self._moves:
            return True
        share = Share(symbol=self.symbol, moves=self.take_moves())
        crash_point("before_settle")
        receipt = await self.commit(share)
        crash_point("after_settle")
        self._floor.report.committed(share, receipt)
        return not receipt.refused

    async def commit(self, share: Share, *, at_once: bool = False) -> Receipt:
        """Wait for the disk for as long as it takes; meanwhile the writer shows the life, not the lane."""
        pulse = self._patience.pulse
        pulse.waits(math.inf)
        receipt = await self._floor.writer.commit(share, at_once=at_once)
        pulse.turn()
        return receipt
