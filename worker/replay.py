"""Replay: signals of the past through the decisions of today, on the simulated venue, in their own time.

Nothing outside the files decides: not the clock, not the host, not the order in which files are listed. So
two runs over the same input write the same bytes. Rates and concurrency are not simulated.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from decimal import Context, localcontext

from adapters.backtest_venue import BacktestVenue, Fate, Placement
from adapters.contract import Reject
from adapters.paper.quotes import NoQuote, Quote
from config.settings import Execution, OrderType
from streams.signal import Signal
from worker.planning import Decision, Side, Skip, plan, rules_of
from worker.replay_input import Input
from worker.replay_output import ReplayLines
from worker.replay_rows import LineBuilder, Pieces
from worker.replay_summary import SymbolTally, Tally

# Sums of money are exact.
EXACT = Context(prec=400)
# Fates that the lane of a symbol remembers, by side and price: prices come back soon or never.
FATES_MAX = 500
_DERIVED = re.compile(r"[0-9a-f]{32}").fullmatch


class _Lane:
    """What a replay knows of one symbol: its signals so far, its last order, and what orders come to."""

    def __init__(self, tally: SymbolTally) -> None:
        self.tally = tally
        self.last_order_ts_ms = 0
        # Orders are numbered a symbol, as at an exchange: so no number depends on other symbols.
        self.number = 0
        # Orders that rest in the book, by the id that the venue has them under.
        self.working: dict[str, tuple[Signal, Side, int]] = {}
        self.fates: dict[tuple[Side, str | None], Pieces] = {}
        self._derived: set[bytes] = set()
        self._given: dict[str, int] = {}
        self._reused: set[tuple[str, int]] = set()

    def first_look(self, signal: Signal) -> bool | None:
        """Whether it is new; None when its id belongs to another signal of the symbol already.

        The first line of a key wins. Of an id that follows from the signal's fields sixteen bytes are kept.
        """
        if signal.id_given:
            return self._first_look_at_given(signal.signal_id, signal.ts_ms)
        key = bytes.fromhex(signal.signal_id)
        if key in self._derived or self._given.get(signal.signal_id) == signal.ts_ms:
            return False
        self._derived.add(key)
        return True

    def settle(self) -> None:
        """Count what the fates were used for, and forget them."""
        tally, orders = self.tally, 0
        for pieces in self.fates.values():
            count = pieces.fate.settle()
            orders += count
            if count == 1:
                tally.intended += pieces.intended
                tally.lost += pieces.lost
            else:
                tally.intended += pieces.intended * count
                tally.lost += pieces.lost * count
        tally.orders += orders
        tally.filled += orders
        self.fates.clear()

    def _first_look_at_given(self, signal_id: str, ts_ms: int) -> bool | None:
        first_ms = self._given.get(signal_id)
        if first_ms is None:
            self._given[signal_id] = ts_ms
            # A producer may give the very id that its lines without one had.
            return not (_DERIVED(signal_id) and bytes.fromhex(signal_id) in self._derived)
        if first_ms == ts_ms or (signal_id, ts_ms) in self._reused:
            return False
        self._reused.add((signal_id, ts_ms))
        return None


class Replay:
    """One run. `tally` is what it came to.

    `own_prices`: the venue's price of a signal follows from the price that the signal itself has.
    """

    def __init__(
        self, execution: Execution, venue: BacktestVenue, output: ReplayLines, *, own_prices: bool
    ) -> None:
        self.tally = Tally()
        self._venue = venue
        self._output = output
        self._rules = rules_of(execution)
        wire_ids = not venue.is_plain or execution.order.type is not OrderType.MARKET
        self._lines = LineBuilder(execution, wire_ids=wire_ids)
        self._lanes: dict[str, _Lane] = {}
        self._own_prices = own_prices

    def run(self, signals: Input, reached: Callable[[int, int, int], None]) -> None:
        """Everything, from the first record to the last.

        Raises WholeInputError, ReplayOutputError, BacktestError. `reached` is told how far it is: what was
        read, of how much, and how many records.
        """
        # Nothing here makes cycles, and looking for them costs a tenth of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            with localcontext(EXACT):
                self._run(signals, reached)
                for lane in self._lanes.values():
                    lane.settle()
        finally:
            if collects:
                gc.enable()
        self.tally.unfinished = signals.unfinished

    def _run(self, signals: Input, reached: Callable[[int, int, int], None]) -> None:
        read, output = 0, self._output
        for burst in signals.bursts():
            for item in burst:
                if item.ts_ms > output.latest_ms:
                    output.latest_ms = item.ts_ms
                if isinstance(item, Signal):
                    self._signal(item)
                else:
                    self.tally.malformed[item.found.reason] += 1
                    output.dead_letter(item.found, signals.kind, item.ts_ms)
            read += len(burst)
            reached(signals.done, signals.total, read)

    def _lane(self, symbol: str) -> _Lane:
        lane = self._lanes[symbol] = _Lane(self.tally.of(symbol))
        return lane

    def _signal(self, signal: Signal) -> None:
        symbol, ts_ms = signal.symbol, signal.ts_ms
        lane = self._lanes.get(symbol) or self._lane(symbol)
        is_new = lane.first_look(signal)
        if is_new is False:
            self.tally.duplicates += 1
            return
        tally = lane.tally
        tally.signal(ts_ms)
        if is_new is None:
            tally.skips["id_reused"] += 1
            self._output.execution(symbol, ts_ms, self._lines.reused(signal))
            return
        if lane.working:
            self._look(lane, signal)
        decision = self._decide(signal, lane)
        if isinstance(decision, Skip):
            tally.skips[decision.code] += 1
            self._output.execution(symbol, ts_ms, self._lines.skip(signal, decision))
        else:
            self._order(signal, decision.side, lane)

    def _decide(self, signal: Signal, lane: _Lane) -> Decision:
        return plan(
            signal, self._rules, now_ms=signal.ts_ms, last_order_ts_ms=lane.last_order_ts_ms, halted=False
        )

    def _order(self, signal: Signal, side: Side, lane: _Lane) -> None:
        """Fill a market order at once, as one of its side and price before it; all else goes to the venue."""
        quote: Quote | NoQuote | None = None
        price: str | None = None if signal.price is None else str(signal.price)
        if not self._own_prices:
            quote = self._quote(signal)
            price = f"{quote.bid} {quote.ask}" if isinstance(quote, Quote) else None
        tally, venue = lane.tally, self._venue
        if signal.price is None:
            tally.unpriced += 1
        pieces = lane.fates.get((side, price))
        if pieces is None:
            result = venue.trade(self._lines.context(signal, side), quote or self._quote(signal))
            if not isinstance(result, Fate):
                self._sent(signal, side, result, lane)
                return
            if len(lane.fates) >= FATES_MAX:
                lane.settle()
            pieces = lane.fates[(side, price)] = Pieces(result, side)
        venue.fill(pieces.fate)
        lane.number += 1
        at_ms = signal.ts_ms + venue.latency_ms
        line, trade = self._lines.filled(signal, pieces, lane.number, at_ms)
        self._output.execution(signal.symbol, at_ms, line)
        self._output.fill(trade)
        if signal.ts_ms > lane.last_order_ts_ms:
            lane.last_order_ts_ms = signal.ts_ms

    def _quote(self, signal: Signal) -> Quote | NoQuote:
        price = signal.price
        if self._own_prices and price is not None:
            # What the source of such prices would look at has been looked at by the decoder.
            return Quote(price, price, signal.ts_ms)
        return self._venue.quote(signal.symbol, price, signal.ts_ms)

    def _sent(self, signal: Signal, side: Side, result: Placement | Reject, lane: _Lane) -> None:
        """An order that was refused, or whose fate is its own."""
        tally = lane.tally
        if isinstance(result, Reject):
            tally.rejects[result.code] += 1
            self._output.execution(signal.symbol, signal.ts_ms, self._lines.refused(signal, side, result))
            return
        tally.orders += 1
        lane.last_order_ts_ms = max(lane.last_order_ts_ms, signal.ts_ms)
        if result.refusal is not None:
            tally.rejects[result.refusal.code] += 1
            line, _ = self._lines.placed(signal, side, result, 0)
            self._output.execution(signal.symbol, signal.ts_ms, line)
            return
        lane.number += 1
        if result.state in ("open", "partial"):
            tally.working += 1
            lane.working[result.order.client_order_id] = (signal, side, lane.number)
        else:
            tally.ended(result)
            self._ended(signal, side, result, lane.number)

    def _ended(self, signal: Signal, side: Side, placement: Placement, number: int) -> None:
        line, trades = self._lines.placed(signal, side, placement, number)
        self._output.execution(signal.symbol, placement.at_ms, line)
        for trade in trades:
            self._output.fill(trade)

    def _look(self, lane: _Lane, signal: Signal) -> None:
        """Let the orders that rest see the price of this moment."""
        quote = self._quote(signal)
        if isinstance(quote, NoQuote):
            return
        for placement in self._venue.look(signal.symbol, quote, signal.ts_ms):
            placed, side, number = lane.working.pop(placement.order.client_order_id)
            lane.tally.working -= 1
            lane.tally.ended(placement)
            self._ended(placed, side, placement, number)
