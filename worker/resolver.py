"""The resolver: what became of an order that may have been sent.

It asks by client order id until the order is found or proven absent. It never guesses and never sends:
a proven absence goes back to the lane, which repeats every check before it sends from the row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from adapters.contract import ExecutionAdapter, Found, NotSent, NotYet, Order, ProvenAbsent
from config.seams import Clock
from config.settings import Retry
from store.ledger import Ledger
from store.lifecycle import State
from store.records import Move, Share
from store.writer import Writer
from worker.gate import Gate, Pending
from worker.patience import Patience
from worker.report import Report
from worker.rows import accepted_move, pending_of, refused_move, renewed_move, unknown_move

Sleep = Callable[[float], Awaitable[None]]
Stopping = Callable[[], bool]

# After this long without proof a person has to decide.
RESOLVE_S_MAX = 900.0
# An operator's resolve is looked for this often.
RELEASE_POLL_S = 5.0
WORKING_STATES = ("open", "partial")
LOOKUP_DELAY_S_MIN = 0.05
# A wall clock that is set back must not make a lane wait for hours.
LOOKUP_DELAY_S_MAX = 60.0
NOT_SENT_DELAY_S_MAX = 30.0
# Where signals live for ever, an order that cannot be sent is given up after this long.
NOT_SENT_S_MAX = 600.0


class Verdict(msgspec.Struct, frozen=True):
    """What is proven about an unknown order, as the move that records it.

    `send_again` is the order with its new window, when it is proven absent and still fresh.
    """

    move: Move
    send_again: Order | None = None


class Resolver:
    """Settles unknown rows through the adapter's `lookup`. Lanes call it; each waits for its own symbol."""

    def __init__(
        self,
        *,
        writer: Writer,
        ledger: Ledger,
        adapter: ExecutionAdapter,
        gate: Gate,
        retry: Retry,
        clock: Clock,
        report: Report,
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._adapter = adapter
        self._gate = gate
        self._attempts_max = retry.max_attempts
        self._clock = clock
        self._report = report

    async def recover(self, symbol: str, patience: Patience) -> list[Pending]:
        """Settle what a former run left in flight; the orders to be sent again, from their rows.

        Rows found reserved may have been sent: they are recorded as unknown before anybody is asked.
        """
        rows = await self._writer.call(lambda: self._ledger.unsettled(symbol))
        doubtful = [row for row in rows if row.state in (State.RESERVED, State.UNKNOWN)]
        found = [
            unknown_move(pending_of(row), State.RESERVED, "found in flight at start")
            for row in doubtful
            if row.state is State.RESERVED
        ]
        await self._commit(symbol, found)
        for row in rows:
            if row.state in (State.OPEN, State.PARTIAL):
                self._adapter.watch(pending_of(row).order)
        again: list[Pending] = []
        moves: list[Move] = []
        for row in doubtful:
            pending = pending_of(row)
            verdict = await self.settle(pending, patience)
            if verdict is None:
                if patience.stopping():
                    break
                continue
            moves.append(verdict.move)
            if verdict.send_again is not None:
                pending.order = verdict.send_again
                again.append(pending)
        refused = await self._commit(symbol, moves)
        for row in doubtful:
            if row.row_id in refused:
                # The venue's news were quicker, and perhaps not the last ones.
                self._adapter.watch(pending_of(row).order)
        # A row that somebody else settled meanwhile is not sent again.
        again = [pending for pending in again if pending.row_id not in refused]
        self._report.recovered(symbol, len(doubtful), len(again))
        if any(row.state is State.QUARANTINED for row in rows) or any(
            move.after is State.QUARANTINED for move in moves
        ):
            await self.until_released(symbol, patience)
        return again

    async def _commit(self, symbol: str, moves: list[Move]) -> set[int]:
        """The rows whose moves were refused."""
        if not moves:
            return set()
        share = Share(symbol=symbol, moves=moves)
        receipt = await self._writer.commit(share)
        self._report.committed(share, receipt)
        return {move.row_id for move, _ in receipt.refused}

    async def settle(self, pending: Pending, patience: Patience) -> Verdict | None:
        """Ask until there is proof, at most 15 minutes; the move that records it.

        None when the worker stops before that, or when the venue's own news have settled the row meanwhile.
        """
        give_up_s = self._clock.monotonic_s() + RESOLVE_S_MAX
        while True:
            answer = await self._adapter.lookup(pending.order.client_order_id, pending.order)
            match answer:
                case Found(update=update, same_terms=True):
                    if update.state in WORKING_STATES:
                        # Whoever was sent to look has found it; from here on it has to be followed.
                        self._adapter.watch(pending.order)
                    return Verdict(
                        accepted_move(
                            pending.row_id,
                            State.UNKNOWN,
                            update,
                            attempts=pending.attempts,
                            latency_ms=None,
                        )
                    )
                case Found():
                    return self._quarantine(pending, "the venue's order differs from the row")
                case ProvenAbsent():
                    return self._absent(pending)
                case NotYet(until_ms=until_ms, why=why):
                    if self._clock.monotonic_s() >= give_up_s:
                        return self._quarantine(pending, f"no proof within {RESOLVE_S_MAX:.0f} s: {why}")
                    await patience.sleep_until(
                        until_ms, least_s=LOOKUP_DELAY_S_MIN, most_s=LOOKUP_DELAY_S_MAX
                    )
            if patience.stopping() or await self._is_settled(pending):
                return None

    async def _is_settled(self, pending: Pending) -> bool:
        row = await self._writer.call(lambda: self._ledger.row_of(pending.order.client_order_id))
        if row is None or row[1] is State.UNKNOWN:
            return False
        if row[1].value in WORKING_STATES:
            # One piece of news has come; the next one may be lost.
            self._adapter.watch(pending.order)
        return True

    def _absent(self, pending: Pending) -> Verdict:
        if self._gate.life_left_s(pending) <= 0:
            text = f"proven absent when it was {self._gate.now_ms() - pending.signal_ts_ms} ms old"
            return Verdict(refused_move(pending, State.UNKNOWN, State.SKIPPED, "expired", text))
        if pending.attempts >= self._attempts_max:
            text = f"proven absent after {pending.attempts} attempts"
            return Verdict(refused_move(pending, State.UNKNOWN, State.REJECTED, "attempts_exhausted", text))
        order = self._adapter.renew(pending.order, self._gate.life_end_ms(pending))
        return Verdict(renewed_move(pending, State.UNKNOWN, order, "proven absent"), send_again=order)

    def _quarantine(self, pending: Pending, why: str) -> Verdict:
        return Verdict(Move(row_id=pending.row_id, before=State.UNKNOWN, after=State.QUARANTINED, reason=why))

    async def until_released(self, symbol: str, patience: Patience) -> None:
        """Return once no row of the symbol is quarantined, or the worker stops."""
        while not patience.stopping():
            rows = await self._writer.call(lambda: self._ledger.unsettled(symbol))
            if not any(row.state is State.QUARANTINED for row in rows):
                return
            self._report.quarantined(symbol)
            await patience.sleep(RELEASE_POLL_S)


class NotSentError(Exception):
    """An attempt that provably never left the host."""

    def __init__(self, answer: NotSent) -> None:
        super().__init__(answer.text)
        self.answer = answer


class NotSentRetry:
    """Makes a fresh retry loop for one order; the order's own life ends it through the gate's checks."""

    def __init__(self, retry: Retry, clock: Clock, report: Report) -> None:
        self._backoff_s = retry.backoff_ms / 1000
        self._clock = clock
        self._report = report

    def delay_s(self, answer: NotSent, retries: int) -> float:
        """How long to wait after this answer: growing, and never shorter than a venue's deadline."""
        delay_s = min(NOT_SENT_DELAY_S_MAX, self._backoff_s * float(2**retries))
        if answer.retry_at_ms is not None:
            delay_s = max(delay_s, (answer.retry_at_ms - self._clock.wall_ms()) / 1000)
        return delay_s

    def __call__(self, sleep: Sleep, stopping: Stopping) -> AsyncRetrying:
        """Retries NotSentError alone and re-raises the last one; each retry after the first is reported."""
        give_up_s = self._clock.monotonic_s() + NOT_SENT_S_MAX

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            assert isinstance(error, NotSentError)
            return self.delay_s(error.answer, state.attempt_number)

        def stop(state: RetryCallState) -> bool:
            return stopping() or self._clock.monotonic_s() >= give_up_s

        return AsyncRetrying(
            sleep=sleep,
            wait=wait,
            stop=stop,
            before_sleep=lambda state: self._report.retried(),
            retry=retry_if_exception_type(NotSentError),
            reraise=True,
        )
