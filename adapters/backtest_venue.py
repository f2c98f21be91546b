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
    OrderSide,
    Reject,
    Rejected,
    StartRefusal,
)
from adapters.costs import CostModel, cost_model
from adapters.filters import SymbolRules
from adapters.grid import exact_difference, product
from adapters.paper.facts import Part, Placed
from adapters.paper.positions import Position
from adapters.paper.quotes import NoQuote, Quote, QuoteSource
from adapters.paper.symbol_rules import built_in_rules, read_rules
from adapters.paper.terms import Terms, terms_of
from adapters.paper.trade_sim import TradeSim
from adapters.slippage import intended_price, slippage_bps
from config.settings import Execution

# Market orders that are remembered by symbol, side and price: some 60 MB.
KNOWN_MAX = 100_000
# An answer is lost once for an order; the second attempt is answered.
ATTEMPTS_MAX = 3
_ZERO = Decimal(0)


class BacktestError(Exception):
    """What the venue is to be made of cannot be used; the message is the whole sentence."""


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade, with what it says about costs: `lost` is in quote units, above 0 is worse for us."""

    part: Part
    slippage_bps: Decimal | None
    lost: Decimal
    intended: Decimal


class Placement(msgspec.Struct, frozen=True, gc=False):
    """What became of one order: its terms, its number at the venue, its trades and its state.

    `refusal` is why the venue did not take it; `state` and what follows say nothing then.
    """

    order: Order
    number: int
    attempts: int
    state: str = "open"
    filled_qty: Decimal = _ZERO
    average_price: Decimal | None = None
    fee: Decimal | None = None
    trades: tuple[Trade, ...] = ()
    at_ms: int = 0
    refusal: Rejected | None = None


class _Known(msgspec.Struct, frozen=True, gc=False):
    """A market order's fate, apart from its ids and its time."""

    order: Order
    trade: Trade


class BacktestVenue:
    """The venue. `positions` is by symbol; `size_usd` the value of an order, in quote units."""

    def __init__(
        self,
        sim: TradeSim,
        terms: Terms,
        quotes: QuoteSource,
        *,
        size_usd: Decimal,
    ) -> None:
        self.sim = sim
        self.quotes = quotes
        self.size_usd = size_usd
        self.rolls_dice = bool(
            terms.partial_share or terms.error_share or terms.timeouts or terms.latency_jitter_ms
        )
        self._latency_ms = terms.latency_ms
        self._known: dict[tuple[str, OrderSide, Decimal, Decimal], _Known] = {}
        self._number = 0

    @property
    def positions(self) -> Mapping[str, Position]:
        """What is held, by symbol."""
        return self.sim.positions

    def quote(self, symbol: str, signal_price: Decimal | None, ts_ms: int) -> Quote | NoQuote:
        """The price at a signal's time."""
        return self.quotes.quote(symbol, signal_price, ts_ms)

    def trade_at_once(self, symbol: str, side: OrderSide, quote: Quote, now_ms: int) -> Placement | None:
        """The fate of a market order like one before it; None: not known, ask `trade`.

        Without dice a market order's fate follows from symbol, side and price alone, so it is worked out once
        for each of them.
        """
        known = self._known.get((symbol, side, quote.bid, quote.ask))
        return None if known is None else self._again(known, now_ms)

    def trade(self, ctx: OrderCtx, quote: Quote | NoQuote) -> Placement | Reject:
        """Prepare and place one order, and follow it until its fate is known."""
        order = self.sim.prepare(ctx, quote, self.size_usd)
        if isinstance(order, Reject):
            return order
        assert isinstance(quote, Quote), "an order without a price was refused just now"
        if self.rolls_dice or order.price is not None:
            return self._place(order, quote, ctx.event_ts_ms)
        now_ms = ctx.event_ts_ms + self._latency_ms
        decided = self.sim.decide(order, quote, now_ms)
        if not isinstance(decided, Placed):
            assert isinstance(decided, Rejected), decided
            return Placement(order, 0, 1, refusal=decided)
        (part,) = decided.parts
        known = _Known(order, _trade_of(order, part))
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[(ctx.symbol, ctx.side, quote.bid, quote.ask)] = known
        return self._again(known, ctx.event_ts_ms)

    def _again(self, known: _Known, ts_ms: int) -> Placement:
        order, part = known.order, known.trade.part
        position = self.sim.positions.get(order.symbol)
        if position is None:
            position = self.sim.positions[order.symbol] = Position()
        position.fill(order.side, part.qty, part.price, part.fee)
        self._number += 1
        # By position, in the order of the fields: by name the call takes three times as long.
        at_ms = ts_ms + self._latency_ms
        return Placement(
            order, self._number, 1, "filled", part.qty, part.price, part.fee, (known.trade,), at_ms
        )

    def _place(self, order: Order, quote: Quote, ts_ms: int) -> Placement:
        """Place as often as the answer shows that the order never arrived."""
        sim, order_id = self.sim, order.client_order_id
        for attempt in range(1, ATTEMPTS_MAX + 1):
            answer = sim.place(order, quote, ts_ms + sim.latency_ms(order_id)).answer
            if isinstance(answer, Rejected):
                return Placement(order, 0, attempt, refusal=answer)
            if order_id in sim.orders:
                return self._placement(order_id, attempt)
        raise AssertionError(f"the answer to {order_id} got lost more than once")

    def _placement(self, order_id: str, attempts: int) -> Placement:
        """What an order has come to by now; one that is final is forgotten, so that memory stays flat."""
        venue_order = self.sim.orders[order_id]
        order, update = venue_order.order, venue_order.update()
        if not venue_order.works:
            del self.sim.orders[order_id]
        return Placement(
            order,
            venue_order.number,
            attempts,
            update.state,
            update.filled_qty,
            update.average_price,
            update.fee,
            tuple(_trade_of(order, part) for part in venue_order.parts),
            venue_order.at_ms if update.event_ms is None else update.event_ms,
        )

    def look(self, symbol: str, quote: Quote, now_ms: int) -> Sequence[Placement]:
        """The resting orders of a symbol that this quote has filled."""
        filled = dict.fromkeys(update.client_order_id for update in self.sim.look(symbol, quote, now_ms))
        return [self._placement(order_id, 1) for order_id in filled]

    def works(self, symbol: str) -> bool:
        """Whether an order of the symbol rests in the book."""
        return symbol in self.sim.symbols_working


def _trade_of(order: Order, part: Part) -> Trade:
    intent = intended_price(order)
    if intent is None:
        return Trade(part, None, _ZERO, _ZERO)
    lost = (
        exact_difference(part.price, intent) if order.side == "buy" else exact_difference(intent, part.price)
    )
    return Trade(
        part,
        slippage_bps(order.side, intent, part.price),
        product(lost, part.qty),
        product(intent, part.qty),
    )


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
