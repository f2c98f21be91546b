"""The checks just before a send: not halted, still fresh, the store still ours.

They are repeated for every attempt, and once more when the first byte is about to leave. In doubt the
answer is no.
"""

from __future__ import annotations

import math

import msgspec

from adapters.contract import ExecutionAdapter, Guard, Order
from config.seams import Clock
from store.writer import Writer
from streams.signal import Signal
from worker.halts import Halts
from worker.planning import Rules, Skip, expired, life_of


class Pending(msgspec.Struct, gc=False):
    """A reserved row that is this worker's to send.

    `attempts` counts sends that left or may have left; each of them takes a permit of its own.
    """

    row_id: int
    order: Order
    signal_ts_ms: int
    expiry_ms: int
    attempts: int = 0
    has_permit: bool = True


class Gate:
    """Says whether an order may leave now."""

    def __init__(
        self, halts: Halts, writer: Writer, rules: Rules, adapter: ExecutionAdapter, clock: Clock
    ) -> None:
        self._halts = halts
        self._writer = writer
        self._rules = rules
        self._adapter = adapter
        self._clock = clock

    def now_ms(self) -> int:
        """The venue's time where it has one: signals age by it."""
        return self._clock.wall_ms() + self._adapter.clock_offset_ms

    def store_intact(self) -> bool:
        """Whether the store and its lock are still the ones that hold our reservations."""
        return self._writer.intact()

    def halted(self, symbol: str) -> str | None:
        """Why no order of `symbol` may leave; a check that fails counts as a halt."""
        return self._halts.why(symbol)

    def silent_until_ms(self, symbol: str) -> int:
        """Signals up to this time belong to a halt that has ended; by the later one of the two clocks."""
        return self._halts.silent_until_ms(symbol) + max(0, self._adapter.clock_offset_ms)

    def refusal(self, pending: Pending, *, halted: str | None, silent_until_ms: int) -> Skip | None:
        """Why this order must not leave now; None when it may."""
        if halted is not None:
            return Skip("halted", f"new orders are halted: {halted}")
        if pending.signal_ts_ms <= silent_until_ms:
            return Skip("halted", "its signal belongs to a halt that has ended")
        now_ms = self.now_ms()
        if expired(pending.signal_ts_ms, pending.expiry_ms, self._rules, now_ms=now_ms):
            return Skip("expired", f"it was {now_ms - pending.signal_ts_ms} ms old when it was its turn")
        return None

    def guard(self, pending: Pending) -> Guard:
        """The last word, for the moment in which the first byte is about to leave."""
        symbol = pending.order.symbol

        def last_word() -> str | None:
            if not self._writer.intact():
                return "the store was removed or replaced"
            halted, silent_until_ms = self._halts.why(symbol), self.silent_until_ms(symbol)
            refusal = self.refusal(pending, halted=halted, silent_until_ms=silent_until_ms)
            return None if refusal is None else refusal.text

        return last_word

    def life_left_s(self, pending: Pending) -> float:
        """Seconds until this order is too old to be sent; waiting any longer for it is in vain."""
        life_ms = life_of(pending.expiry_ms, self._rules)
        if life_ms is None:
            return math.inf
        return max(0, pending.signal_ts_ms + life_ms + 1 - self.now_ms()) / 1000

    def life_end_ms(self, pending: Pending) -> int | None:
        """The last moment of the host's clock at which this order may be sent; None: no end."""
        return self._end_ms(pending.signal_ts_ms, pending.expiry_ms)

    def end_of_life_ms(self, signal: Signal) -> int | None:
        """The same for a signal that has no row yet."""
        return self._end_ms(signal.ts_ms, signal.expiry_ms)

    def _end_ms(self, ts_ms: int, expiry_ms: int) -> int | None:
        life_ms = life_of(expiry_ms, self._rules)
        return None if life_ms is None else ts_ms + life_ms - self._adapter.clock_offset_ms
