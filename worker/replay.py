"""Replay: signals of the past through the decisions of today, on the simulated venue, in their own time.

Nothing outside the files decides: not the clock, not the host, not the order in which files are listed. So
two runs over the same input write the same bytes. Rates and concurrency are not simulated.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable

from adapters.backtest_venue import BacktestVenue, Placement
from adapters.contract import Reject
from adapters.paper.quotes import NoQuote, Quote
from config.settings import Execution
from streams.signal import Malformed, Signal
from streams.whole import WholeInputError
from worker.planning import Decision, Eligible, Skip, plan, rules_of
from worker.replay_input import Input
from worker.replay_output import ReplayOutput
from worker.replay_rows import SIDES, Line, LineBuilder
from worker.replay_summary import SymbolTally, Tally

_DERIVED = re.compile(r"[0-9a-f]{32}").fullmatch


class _Lane:
    """What a replay knows of one symbol: which signals it had, and when its last order was."""

    def __init__(self, tally: SymbolTally) -> None:
        self.tally = tally
        self.last_order_ts_ms = 0
        # Orders that rest in the book, by the id that the venue has them under.
        self.working: dict[str, tuple[Signal, str]] = {}
        self._derived: set[int] = set()
        self._given: dict[str, int] = {}
        self._reused: set[tuple[str, int]] = set()

    def first_look(self, signal: Signal) -> bool | None:
        """Whether it is new; None when its id belongs to another signal of the symbol already.

        The first line of a key wins. Of an id that follows from the signal's fields sixteen bytes are kept.
        """
        if not signal.id_given:
            key = int(signal.signal_id, 16)
            if key in self._derived or self._given.get(signal.signal_id) == signal.ts_ms:
                return False
            self._derived.add(key)
            return True
        return self._first_look_at_given(signal.signal_id, signal.ts_ms)

    def _first_look_at_given(self, signal_id: str, ts_ms: int) -> bool | None:
        first_ms = self._given.get(signal_id)
        if first_ms is None:
            self._given[signal_id] = ts_ms
            # A producer may give the very id that its lines without one had.
            return not (_DERIVED(signal_id) and int(signal_id, 16) in self._derived)
        if first_ms == ts_ms or (signal_id, ts_ms) in self._reused:
            return False
        self._reused.add((signal_id, ts_ms))
        return None


class Replay:
    """One run. `tally` is what it came to."""

    def __init__(self, execution: Execution, venue: BacktestVenue, output: ReplayOutput) -> None:
        self.tally = Tally()
        self._venue = venue
        self._output = output
        self._rules = rules_of(execution)
        self._lines = LineBuilder(execution, rolls_dice=venue.rolls_dice)
        self._lanes: dict[str, _Lane] = {}

    def run(self, signals: Input, reached: Callable[[int, int, int], None]) -> None:
        """Everything, from the first record to the last.

        Raises WholeInputError, ReplayOutputError, BacktestError. `reached` is told how far it is.
        """
        # Nothing here makes cycles, and looking for them costs a tenth of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            for burst in signals.bursts():
                for ts_ms, record in burst:
                    if isinstance(record, Malformed):
                        self.tally.malformed[record.reason] += 1
                        self._output.dead_letter(record, signals.kind, ts_ms)
                    else:
                        self._signal(record)
                reached(signals.done, signals.total, self.tally.signals)
        finally:
            if collects:
                gc.enable()
        self.tally.unfinished = signals.unfinished
        if not self.tally.signals:
            raise WholeInputError(self._nothing())

    def _nothing(self) -> str:
        malformed = self.tally.malformed
        if not malformed:
            return "the input has no signals of the symbols asked for: see --signals and --symbols"
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(malformed.items()))
        return f"the input has no signals, its lines are malformed ({reasons}): see --signals"

    def _lane(self, symbol: str) -> _Lane:
        lane = self._lanes.get(symbol)
        if lane is None:
            lane = self._lanes[symbol] = _Lane(self.tally.of(symbol))
        return lane

    def _signal(self, signal: Signal) -> None:
        lane = self._lanes.get(signal.symbol) or self._lane(signal.symbol)
        is_new = lane.first_look(signal)
        if is_new is False:
            self.tally.duplicates += 1
            return
        lane.tally.signal(signal.ts_ms)
        if is_new is None:
            lane.tally.skips["id_reused"] += 1
            self._output.execution(self._lines.reused(signal))
            return
        quote: Quote | NoQuote | None = None
        if lane.working:
            quote = self._venue.quote(signal.symbol, signal.price, signal.ts_ms)
            self._look(lane, quote, signal)
        decision = self._decide(signal, lane)
        if isinstance(decision, Skip):
            lane.tally.skips[decision.code] += 1
            self._output.execution(self._lines.skip(signal, decision))
            return
        if quote is None:
            quote = self._venue.quote(signal.symbol, signal.price, signal.ts_ms)
        self._order(signal, decision, quote, lane)

    def _decide(self, signal: Signal, lane: _Lane) -> Decision:
        return plan(
            signal,
            self._rules,
            now_ms=signal.ts_ms,
            last_order_ts_ms=lane.last_order_ts_ms,
            halted=False,
        )

    def _order(self, signal: Signal, decision: Eligible, quote: Quote | NoQuote, lane: _Lane) -> None:
        if signal.price is None:
            lane.tally.unpriced += 1
        placement: Placement | Reject | None = None
        if isinstance(quote, Quote):
            side = SIDES[decision.side]
            placement = self._venue.trade_at_once(signal.symbol, side, quote, signal.ts_ms)
        if placement is None:
            placement = self._venue.trade(self._lines.context(signal, decision), quote)
        tally = lane.tally
        if isinstance(placement, Reject):
            tally.rejects[placement.code] += 1
            self._output.execution(self._lines.refused(signal, decision.side, placement))
            return
        tally.orders += 1
        lane.last_order_ts_ms = max(lane.last_order_ts_ms, signal.ts_ms)
        line = self._lines.placed(signal, decision.side, placement)
        if placement.refusal is not None:
            tally.rejects[placement.refusal.code] += 1
            self._output.execution(line)
        elif placement.state in ("open", "partial"):
            tally.states[placement.state] += 1
            lane.working[placement.order.client_order_id] = (signal, decision.side)
        else:
            self._ended(line, placement, tally)

    def _ended(self, line: Line, placement: Placement, tally: SymbolTally) -> None:
        tally.states[placement.state] += 1
        self._output.execution(line)
        if placement.trades:
            tally.fills(placement)
            for fill in self._lines.fills(line, placement):
                self._output.fill(fill)

    def _look(self, lane: _Lane, quote: Quote | NoQuote, signal: Signal) -> None:
        """Let the orders that rest see the price of this moment."""
        if isinstance(quote, NoQuote):
            return
        for placement in self._venue.look(signal.symbol, quote, signal.ts_ms):
            placed, side = lane.working.pop(placement.order.client_order_id)
            lane.tally.states["open"] -= 1
            self._ended(self._lines.placed(placed, side, placement), placement, lane.tally)
