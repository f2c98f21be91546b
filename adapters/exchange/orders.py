"""Orders and trades as the exchange remembers them, and who may still find them.

A client order id is unique among *open* orders only: a finished order's id may come again, and a query by
it finds the newest. Unfilled orders that were canceled or expired are forgotten after 3 days, all after 90.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import msgspec

Side = Literal["BUY", "SELL"]
OrderStatus = Literal["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"]
OPEN: frozenset[OrderStatus] = frozenset({"NEW", "PARTIALLY_FILLED"})
DAY_MS = 86_400_000
UNFILLED_KEPT_MS = 3 * DAY_MS
KEPT_MS = 90 * DAY_MS
ZERO = Decimal(0)


class Terms(msgspec.Struct, frozen=True):
    """What was asked for. `fence_ms` is the last moment (exchange clock) at which it may be accepted."""

    account: str
    symbol: str
    side: Side
    type: str
    tif: str
    qty: Decimal
    price: Decimal | None
    client_order_id: str
    position_side: str = "BOTH"
    reduce_only: bool = False
    fence_ms: int | None = None

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "BUY" else -1


class Trade(msgspec.Struct, frozen=True):
    """One fill of one order."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    position_side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    realized: Decimal
    maker: bool
    at_ms: int


@dataclass(slots=True)
class LiveOrder:
    """An accepted order. Hidden from GET order until `query_ms`, from lists until `listed_ms`."""

    order_id: int
    terms: Terms
    created_ms: int
    updated_ms: int
    query_ms: int = 0
    listed_ms: int = 0
    status: OrderStatus = "NEW"
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    working: bool = False
    # What the cancellation was called; spot tells it in the place of the order's own id.
    cancel_id: str = ""
    trades: list[Trade] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it can still fill."""
        return self.status in OPEN

    @property
    def remaining(self) -> Decimal:
        """What is not filled yet."""
        return self.terms.qty - self.executed

    @property
    def average_price(self) -> Decimal:
        """Of what is filled; 0 where nothing is."""
        return self.quote / self.executed if self.executed else ZERO

    def remembered(self, now_ms: int) -> bool:
        """Whether the exchange still knows it."""
        age_ms = now_ms - self.updated_ms
        unfilled = not self.is_open and not self.executed
        return self.is_open or age_ms < (UNFILLED_KEPT_MS if unfilled else KEPT_MS)


class Book:
    """All orders, by number, by client order id and by symbol."""

    def __init__(self, first_id: int = 1) -> None:
        self.orders: dict[int, LiveOrder] = {}
        self.next_order_id = first_id
        self.next_trade_id = 1
        self._open: dict[str, dict[int, LiveOrder]] = defaultdict(dict)
        self._by_client: dict[tuple[str, str, str], list[LiveOrder]] = defaultdict(list)
        self._by_symbol: dict[tuple[str, str], list[LiveOrder]] = defaultdict(list)

    def add(self, order: LiveOrder) -> None:
        """Remember an order that was just accepted."""
        terms = order.terms
        self.orders[order.order_id] = order
        self.next_order_id = max(self.next_order_id, order.order_id + 1)
        self._open[terms.symbol][order.order_id] = order
        self._by_client[terms.account, terms.symbol, terms.client_order_id].append(order)
        self._by_symbol[terms.account, terms.symbol].append(order)

    def finish(self, order: LiveOrder, status: OrderStatus, now_ms: int) -> None:
        """The order will not fill any more; its client order id is free again."""
        order.status = status
        order.updated_ms = now_ms
        self._open[order.terms.symbol].pop(order.order_id, None)

    def open_twin(self, account: str, symbol: str, client_order_id: str) -> LiveOrder | None:
        """The open order that already has this client order id."""
        same = self._by_client.get((account, symbol, client_order_id), ())
        return next((order for order in reversed(same) if order.is_open), None)

    def find(
        self, account: str, symbol: str, order_id: int | None, client_order_id: str, now_ms: int
    ) -> LiveOrder | None:
        """The order with this number, else the newest with this client order id, while it is remembered."""
        if order_id is not None:
            order = self.orders.get(order_id)
            mine = order is not None and (order.terms.account, order.terms.symbol) == (account, symbol)
            return order if mine and order is not None and order.remembered(now_ms) else None
        same = self._by_client.get((account, symbol, client_order_id), ())
        return next((order for order in reversed(same) if order.remembered(now_ms)), None)

    def open_of_symbol(self, symbol: str) -> list[LiveOrder]:
        """Everybody's open orders of a symbol, oldest first."""
        return list(self._open.get(symbol, {}).values())

    def open_orders(self, account: str, symbol: str | None = None) -> Iterator[LiveOrder]:
        """An account's open orders, oldest first within a symbol."""
        for name in [symbol] if symbol is not None else sorted(self._open):
            yield from (order for order in self.open_of_symbol(name) if order.terms.account == account)

    def history(self, account: str, symbol: str, now_ms: int) -> Iterator[LiveOrder]:
        """All orders of an account and symbol that are still remembered, oldest first."""
        return (order for order in self._by_symbol.get((account, symbol), ()) if order.remembered(now_ms))

    def anything_open(self) -> bool:
        """Whether any order waits for a price."""
        return any(self._open.values())
