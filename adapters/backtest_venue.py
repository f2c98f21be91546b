"""The venue of a replay: the simulated venue of paper in simulated time, which is the time of the signals.

Nothing waits: an order is answered at once, as of its signal's time and the venue's latency. This is the
synchronous core that a replay calls once a signal; `adapters.backtest` puts it behind the adapter contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from adapters.contract import (
    Order,
    OrderCtx,
    Reject,
    Rejected,
    StartRefusal,
)
from adapters.costs import CostModel, cost_model
from adapters.filters import SymbolRules
from adapters.grid import product
from adapters.paper.facts import Part
from adapters.paper.positions import Position
from adapters.paper.quotes import NoQuote, Quote, QuoteSource
from adapters.paper.symbol_rules import built_in_rules, read_rules
from adapters.paper.terms import Terms, terms_of
from adapters.paper.trade_sim import TradeSim
from config.settings import Execution

# An answer is lost once for an order; the second attempt is answered.
ATTEMPTS_MAX = 3
_ZERO = Decimal(0)


class BacktestError(Exception):
    """What the venue is to be made of cannot be used; the message is the whole sentence."""


class Placement(msgspec.Struct, frozen=True, gc=False):
    """What became of one order: its terms, its trades and its state.

    `refusal` is why the venue did not take it; `state` and what follows say nothing then.
    """

    order: Order
    attempts: int
    state: str = "open"
    filled_qty: Decimal = _ZERO
    average_price: Decimal | None = None
    fee: Decimal | None = None
    parts: tuple[Part, ...] = ()
    at_ms: int = 0
    refusal: Rejected | None = None


class Fate:
    """What all market orders of one symbol, side and price come to, apart from their ids and times.

    `count` is how many of them `fill` has filled and `settle` has not counted yet.
    """

    __slots__ = ("count", "order", "part", "position", "qty", "value")

    def __init__(self, order: Order, part: Part, position: Position) -> None:
        value = product(part.qty, part.price)
        sells = order.side == "sell"
        self.order = order
        self.part = part
        self.position = position
        self.qty = part.qty.copy_negate() if sells else part.qty
        self.value = value.copy_negate() if sells else value
        self.count = 0

    def settle(self) -> int:
        """Let the position count the trades; how many there were."""
        count, self.count = self.count, 0
        if count == 1:
            self.position.count(1, self.value.copy_abs(), self.part.fee)
            return 1
        times = Decimal(count)
        self.position.count(count, product(self.value.copy_abs(), times), product(self.part.fee, times))
        return count


class BacktestVenue:
    """The venue. `positions` is by symbol; `size_usd` the value of an order, in quote units."""

    def __init__(self, sim: TradeSim, terms: Terms, quotes: QuoteSource, *, size_usd: Decimal) -> None:
        self.sim = sim
        self.quotes = quotes
        self.size_usd = size_usd
        # All orders of one side and price come to the same, at the same time after their signals.
        self.is_plain = sim.is_plain and not terms.latency_jitter_ms
        self.latency_ms = terms.latency_ms

    @property
    def positions(self) -> Mapping[str, Position]:
        """What is held, by symbol."""
        return self.sim.positions

    def quote(self, symbol: str, signal_price: Decimal | None, ts_ms: int) -> Quote | NoQuote:
        """The price at a signal's time."""
        return self.quotes.quote(symbol, signal_price, ts_ms)

    def trade(self, ctx: OrderCtx, quote: Quote | NoQuote) -> Fate | Placement | Reject:
        """Prepare and place one order, and follow it until what becomes of it is known.

        Where the venue is plain a market order is not placed: its fate comes back, which holds for every
        order like it, and `fill` makes it true for one.
        """
        order = self.sim.prepare(ctx, quote, self.size_usd)
        if isinstance(order, Reject):
            return order
        assert isinstance(quote, Quote), "an order without a price was refused just now"
        part = self.sim.plain_trade(order, quote, ctx.event_ts_ms) if self.is_plain else None
        if part is not None:
            position = self.sim.positions.get(order.symbol)
            if position is None:
                position = self.sim.positions[order.symbol] = Position()
            return Fate(order, part, position)
        return self._place(order, quote, ctx.event_ts_ms)

    def fill(self, fate: Fate) -> None:
        """Fill one more order of this fate."""
        fate.count += 1
        fate.position.take(fate.qty, fate.value, fate.part.price)

    def _place(self, order: Order, quote: Quote, ts_ms: int) -> Placement:
        """Place as often as the answer shows that the order never arrived."""
        sim, order_id = self.sim, order.client_order_id
        for attempt in range(1, ATTEMPTS_MAX + 1):
            answer = sim.place(order, quote, ts_ms + sim.latency_ms(order_id)).answer
            if isinstance(answer, Rejected):
                return Placement(order, attempt, refusal=answer)
            if order_id in sim.orders:
                return self._placement(order_id, attempt)
        raise AssertionError(f"the answer to {order_id} got lost more than once")

    def _placement(self, order_id: str, attempts: int) -> Placement:
        """What an order has come to by now."""
        venue_order = self.sim.orders[order_id]
        update = venue_order.update()
        return Placement(
            venue_order.order,
            attempts,
            update.state,
            update.filled_qty,
            update.average_price,
            update.fee,
            venue_order.parts,
            venue_order.at_ms if update.event_ms is None else update.event_ms,
        )

    def look(self, symbol: str, quote: Quote, now_ms: int) -> Sequence[Placement]:
        """The resting orders of a symbol that this quote has filled."""
        filled = dict.fromkeys(update.client_order_id for update in self.sim.look(symbol, quote, now_ms))
        return [self._placement(order_id, 1) for order_id in filled]


class _FileRules(Mapping[str, SymbolRules]):
    """The rules in a file, read when a symbol is met: which ones a signal file has is not known before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rules: dict[str, SymbolRules | None] = {}

    def __getitem__(self, symbol: str) -> SymbolRules:
        if symbol not in self._rules:
            found = read_rules(self._path, (symbol,))
            if isinstance(found, StartRefusal):
                raise BacktestError(found.text)
            self._rules[symbol] = found.get(symbol)
        rules = self._rules[symbol]
        if rules is None:
            raise KeyError(symbol)
        return rules

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


def open_venue(execution: Execution, quotes: QuoteSource) -> BacktestVenue:
    """The venue that the settings ask for. Raises BacktestError with a sentence."""
    terms = terms_of(execution.paper)
    if isinstance(terms, StartRefusal):
        raise BacktestError(terms.text)
    rules: Mapping[str, SymbolRules] = built_in_rules()
    if execution.paper.rules_file is not None:
        readable = read_rules(execution.paper.rules_file, ())
        if isinstance(readable, StartRefusal):
            raise BacktestError(readable.text)
        rules = _FileRules(execution.paper.rules_file)
    costs: CostModel = cost_model(execution.cost)
    sim = TradeSim(terms, costs, rules)
    return BacktestVenue(sim, terms, quotes, size_usd=execution.business.order_size_usd)
