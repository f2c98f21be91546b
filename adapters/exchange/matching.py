"""From acceptance to the last fill: the only place where orders change.

Market orders fill against the book price, limit orders rest until the price crosses theirs. Every change is
written to the journal first and told to the user streams second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from adapters.exchange.accounts import CENT, Account, locked
from adapters.exchange.journal import Ending, Journal
from adapters.exchange.orders import ZERO, Book, LiveOrder, OrderStatus, Terms, Trade
from adapters.exchange.prices import PriceFeed
from adapters.exchange.streams import UserStreams
from adapters.exchange.terms import FillPolicy, MarketName, SymbolRules
from adapters.exchange.timeline import Timeline
from adapters.exchange.words import Words


class Quotes:
    """The book's best prices: half a spread to both sides of the feed's, on the tick."""

    def __init__(self, rules: Mapping[str, SymbolRules], feed: PriceFeed, policy: FillPolicy) -> None:
        self._rules = rules
        self._feed = feed
        self._policy = policy

    def middle(self, symbol: str) -> Decimal:
        """The feed's price, or the symbol's own where the feed has none."""
        return self._feed.price(symbol) or self._rules[symbol].start_price

    def bid(self, symbol: str) -> Decimal:
        """What a seller gets."""
        tick = self._rules[symbol].tick
        wanted = self.middle(symbol) / tick - self._policy.half_spread_ticks
        return max(wanted.to_integral_value(ROUND_FLOOR), Decimal(1)) * tick

    def ask(self, symbol: str) -> Decimal:
        """What a buyer pays."""
        tick = self._rules[symbol].tick
        return (self.middle(symbol) / tick + self._policy.half_spread_ticks).to_integral_value(
            ROUND_CEILING
        ) * tick

    def taken(self, terms: Terms) -> Decimal:
        """The price an order meets when it takes."""
        return self.ask(terms.symbol) if terms.side == "BUY" else self.bid(terms.symbol)

    def crosses(self, terms: Terms) -> bool:
        """Whether the book meets the order's price; a market order always."""
        if terms.price is None:
            return True
        met = self.taken(terms)
        return met <= terms.price if terms.side == "BUY" else met >= terms.price


@dataclass(slots=True)
class Matcher:
    """Accepts, fills and ends orders."""

    market: MarketName
    rules: Mapping[str, SymbolRules]
    accounts: Mapping[str, Account]
    policy: FillPolicy
    quotes: Quotes
    book: Book
    streams: UserStreams
    journal: Journal
    timeline: Timeline
    words: Words

    def accept(self, terms: Terms, query_ms: int = 0, listed_ms: int = 0) -> LiveOrder:
        """The order exists from here on; what can fill at once does."""
        now_ms = self.timeline.now_ms
        order = LiveOrder(self.book.next_order_id, terms, now_ms, now_ms)
        order.query_ms, order.listed_ms = query_ms, listed_ms
        self.book.add(order)
        self.journal.accepted(order)
        self._tell(order, "NEW", None)
        self.begin(order)
        return order

    def begin(self, order: LiveOrder) -> None:
        """Take what the book offers; immediate-or-cancel leaves nothing behind."""
        terms = order.terms
        if terms.tif in ("IOC", "FOK") and terms.type != "MARKET":
            whole = terms.tif != "FOK" or self.available(terms, terms.qty) >= terms.qty
            if self.quotes.crosses(terms) and whole:
                self._take(order, parts=self.policy.parts, maker=False)
            if order.is_open:
                self.end(order, "EXPIRED")
        elif self.quotes.crosses(terms):
            self._work(order, maker=False)

    def on_prices(self) -> None:
        """Prices moved: limit orders whose price was crossed fill, as makers."""
        for symbol in self.rules:
            for order in self.book.open_of_symbol(symbol):
                if order.terms.price is not None and not order.working and self.quotes.crosses(order.terms):
                    self._work(order, maker=True)

    def amend(self, order: LiveOrder, terms: Terms) -> None:
        """The order goes on under new terms; what they let fill at once does."""
        order.terms = terms
        order.updated_ms = self.timeline.now_ms
        self.journal.amended(order)
        self._tell(order, "AMENDMENT", None)
        if not order.working:
            self.begin(order)

    def end(self, order: LiveOrder, status: OrderStatus) -> None:
        """The order stops, canceled or expired."""
        ending: Ending = "canceled" if status == "CANCELED" else "expired"
        self.book.finish(order, status, self.timeline.now_ms)
        self.journal.ended(order, ending)
        self._tell(order, status, None)

    def available(self, terms: Terms, wanted: Decimal) -> Decimal:
        """How much of `wanted` the book and, for reduce-only orders, the position allow now."""
        depth = self.policy.depth_qty
        if depth is not None:
            wanted = min(wanted, depth)
        if terms.reduce_only:
            wanted = min(wanted, self.accounts[terms.account].reducible(terms))
        return wanted

    def settle(self, order: LiveOrder, trade: Trade) -> None:
        """Apply a trade to order and account; the journal's replay uses the same arithmetic."""
        terms, account = order.terms, self.accounts[order.terms.account]
        order.trades.append(trade)
        order.executed += trade.qty
        order.quote += trade.qty * trade.price
        order.updated_ms = trade.at_ms
        order.status = "PARTIALLY_FILLED"
        if order.executed >= terms.qty:
            self.book.finish(order, "FILLED", trade.at_ms)
        self.book.next_trade_id = max(self.book.next_trade_id, trade.trade_id + 1)
        if self.market == "futures":
            account.settle_futures(terms, trade)
        else:
            account.settle_spot(terms, self.rules[terms.symbol], trade)

    def _work(self, order: LiveOrder, *, maker: bool) -> None:
        """Fill now, or piece by piece when the policy says so."""
        policy = self.policy
        order.working = True
        if not policy.fill_delay_ms and (policy.parts == 1 or not policy.part_delay_ms):
            self._take(order, parts=policy.parts, maker=maker)
            self._rest(order)
        else:
            self.timeline.after(policy.fill_delay_ms, lambda: self._part(order, policy.parts, maker))

    def _part(self, order: LiveOrder, parts_left: int, maker: bool) -> None:
        """One piece at its own moment; a limit order whose price is gone rests again."""
        if not order.is_open:
            return
        if self.quotes.crosses(order.terms):
            self._take_one(order, parts_left, maker)
        else:
            parts_left = 1
        if order.is_open and parts_left > 1:
            self.timeline.after(self.policy.part_delay_ms, lambda: self._part(order, parts_left - 1, maker))
        else:
            self._rest(order)

    def _take_one(self, order: LiveOrder, parts_left: int, maker: bool) -> None:
        wanted = self.available(order.terms, order.remaining)
        step = self.rules[order.terms.symbol].step
        share = (wanted / parts_left / step).to_integral_value(ROUND_FLOOR) * step
        qty = wanted if parts_left == 1 else max(share, min(step, wanted))
        if qty > ZERO:
            self._fill(order, qty, maker)

    def _take(self, order: LiveOrder, *, parts: int, maker: bool) -> None:
        """All parts in one moment, never more than the book has at this moment."""
        left = self.available(order.terms, order.remaining)
        step = self.rules[order.terms.symbol].step
        share = max((left / parts / step).to_integral_value(ROUND_FLOOR) * step, step)
        while left > ZERO:
            last = left < 2 * share
            qty = left if last else share
            left -= qty
            self._fill(order, qty, maker)

    def _rest(self, order: LiveOrder) -> None:
        """What did not fill waits for a price, unless nothing ever could fill it."""
        order.working = False
        terms = order.terms
        spent = terms.reduce_only and not self.accounts[terms.account].reducible(terms)
        if order.is_open and (terms.type == "MARKET" or spent):
            self.end(order, "EXPIRED")

    def _fill(self, order: LiveOrder, qty: Decimal, maker: bool) -> None:
        terms, rules = order.terms, self.rules[order.terms.symbol]
        price = terms.price if maker and terms.price is not None else self.quotes.taken(terms)
        rate = self.policy.maker_fee if maker else self.policy.taker_fee
        in_base = self.market == "spot" and terms.side == "BUY"
        fee = (qty * rate if in_base else qty * price * rate).quantize(CENT)
        trade = Trade(
            trade_id=self.book.next_trade_id,
            order_id=order.order_id,
            symbol=terms.symbol,
            side=terms.side,
            position_side=terms.position_side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=rules.base_asset if in_base else rules.quote_asset,
            realized=self._would_realize(terms, qty, price),
            maker=maker,
            at_ms=self.timeline.now_ms,
        )
        self.settle(order, trade)
        self.journal.fill(order, trade)
        self._tell(order, "TRADE", trade)

    def _would_realize(self, terms: Terms, qty: Decimal, price: Decimal) -> Decimal:
        if self.market == "spot":
            return ZERO
        position = self.accounts[terms.account].position(terms.symbol, terms.position_side)
        return position.realize(terms.sign * qty, price)

    def _tell(self, order: LiveOrder, execution: str, trade: Trade | None) -> None:
        """An order event, and with a fill the account's as well, in the market's own order."""
        if not self.streams.has_listener(order.terms.account):
            return
        terms, now_ms = order.terms, self.timeline.now_ms
        rules, account = self.rules[terms.symbol], self.accounts[terms.account]
        events = [self.words.order_event(order, rules, execution, trade, now_ms)]
        if trade is not None:
            bound = self.locked_of(account) if self.market == "spot" else {}
            told = self.words.account_event(account, order, rules, bound, now_ms)
            # Futures tell the account first, spot the order.
            events.insert(0 if self.market == "futures" else 1, told)
        for event in events:
            self.streams.emit(account.name, event, symbol=terms.symbol, client_id=terms.client_order_id)

    def locked_of(self, account: Account) -> dict[str, Decimal]:
        """What the account's open orders hold back, by asset."""
        return locked(self.book.open_orders(account.name), self.rules, self.quotes.middle)
