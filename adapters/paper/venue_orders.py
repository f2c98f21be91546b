"""An order as the simulated venue remembers it, and the words it is told in.

Pure. Updates are cumulative: each part has one of its own, and the last one holds all of it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from adapters.contract import Fill, Order, OrderState, OrderUpdate, PastOrder
from adapters.grid import exact_sum, product, quotient
from adapters.paper.facts import Amended, End, Ended, Fact, Filled, Part, Placed

_ZERO = Decimal(0)
_QUOTE_ASSETS = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "BTC", "ETH", "BNB", "EUR")


class VenueOrder:
    """One order: its terms (`qty` and `price` as amended), its trades and its end."""

    __slots__ = ("at_ms", "end", "filled_qty", "number", "order", "parts", "price", "qty")

    def __init__(self, number: int, at_ms: int, order: Order) -> None:
        self.number = number
        self.at_ms = at_ms
        self.order = order
        self.qty = order.qty
        self.price = order.price
        self.parts: tuple[Part, ...] = ()
        self.filled_qty = _ZERO
        self.end: End | None = None

    @property
    def works(self) -> bool:
        """Whether more of it may fill."""
        return self.end is None and self.filled_qty < self.qty

    @property
    def left(self) -> Decimal:
        """How much of it is not filled."""
        return exact_sum(self.qty, -self.filled_qty)

    @property
    def last_ms(self) -> int:
        """When it last moved."""
        return self.update().event_ms or self.at_ms

    def has_terms_of(self, order: Order) -> bool:
        """Whether it was placed as `order` says."""
        ours = self.order
        return (ours.symbol, ours.side, ours.order_type, ours.tif, ours.qty, ours.price) == (
            order.symbol,
            order.side,
            order.order_type,
            order.tif,
            order.qty,
            order.price,
        )

    def fill(self, parts: tuple[Part, ...]) -> None:
        """Take in trades."""
        self.parts = self.parts + parts if self.parts else parts
        for part in parts:
            self.filled_qty = exact_sum(self.filled_qty, part.qty)
        assert self.filled_qty <= self.qty, self.order.client_order_id

    def update(self) -> OrderUpdate:
        """The present word on it."""
        return self.updates(len(self.parts))[-1]

    def updates(self, first: int = 0) -> tuple[OrderUpdate, ...]:
        """A word for each trade from the `first` on, and one for its present state; never empty."""
        if first == 0 and len(self.parts) == 1 and self.filled_qty == self.qty:
            part = self.parts[0]
            return (self._update("filled", part.qty, part.price, part.fee, part.at_ms),)
        told = [self._after(count) for count in range(first + 1, len(self.parts) + 1)]
        if not told or self.end is not None:
            told.append(self._now())
        return tuple(told)

    def _now(self) -> OrderUpdate:
        if self.end is None:
            return self._after(len(self.parts))
        qty, average, fee, _ = self._sums(len(self.parts))
        return self._update(self.end.state, qty, average, fee, self.end.at_ms, self.end.reason)

    def _after(self, count: int) -> OrderUpdate:
        qty, average, fee, at_ms = self._sums(count)
        state: OrderState = "filled" if qty == self.qty else "partial" if qty else "open"
        return self._update(state, qty, average, fee, at_ms)

    def _sums(self, count: int) -> tuple[Decimal, Decimal | None, Decimal | None, int]:
        """Quantity, average price (18 digits where prices differ), fee and time after so many trades."""
        if count == 0:
            return _ZERO, None, None, self.at_ms
        parts = self.parts[:count]
        qty, value, fee = _ZERO, _ZERO, _ZERO
        for part in parts:
            qty, fee = exact_sum(qty, part.qty), exact_sum(fee, part.fee)
            value = exact_sum(value, product(part.qty, part.price))
        alike = all(part.price == parts[0].price for part in parts)
        return qty, parts[0].price if alike else quotient(value, qty), fee, parts[-1].at_ms

    def _update(
        self,
        state: OrderState,
        qty: Decimal,
        average: Decimal | None,
        fee: Decimal | None,
        at_ms: int,
        reason: str | None = None,
    ) -> OrderUpdate:
        # By position, in the order of the fields: by name the call takes three times as long.
        order = self.order
        return OrderUpdate(
            order.client_order_id, state, qty, average, str(self.number), at_ms, fee, reason, order.symbol
        )

    def past(self) -> PastOrder:
        """The order with its present terms."""
        order = self.order
        return PastOrder(
            update=self.update(),
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            tif=order.tif,
            qty=self.qty,
            price=self.price,
            at_ms=self.at_ms,
        )

    def fills(self) -> list[Fill]:
        """Its trades; their ids are the order's number and their own."""
        order = self.order
        asset = quote_asset(order.symbol)
        return [
            Fill(
                client_order_id=order.client_order_id,
                trade_id=f"{self.number}-{count}",
                qty=part.qty,
                price=part.price,
                fee=part.fee,
                fee_asset=asset,
                ts_ms=part.at_ms,
            )
            for count, part in enumerate(self.parts, start=1)
        ]


def remember(orders: dict[str, VenueOrder], fact: Fact) -> VenueOrder:
    """Let `orders` be as they are after the fact, which contradicts nothing; the order that it is about."""
    if isinstance(fact, Placed):
        known = orders[fact.order.client_order_id] = VenueOrder(fact.number, fact.at_ms, fact.order)
        known.end = fact.end
        if fact.parts:
            known.fill(fact.parts)
        return known
    known = orders[fact.client_order_id]
    match fact:
        case Filled():
            known.fill(fact.parts)
        case Amended():
            known.qty, known.price = fact.qty, fact.price
        case Ended():
            known.end = fact.end
        case _:
            assert_never(fact)
    return known


def contradiction(fact: Fact, known: VenueOrder | None) -> str | None:
    """Why a fact cannot be true of the order as it is `known` (None: it is not); None where it can."""
    if isinstance(fact, Placed):
        if known is not None:
            return f"takes order {fact.order.client_order_id} a second time"
        return _overfilled(fact.parts, fact.order.qty)
    if known is None:
        return f"speaks of order {fact.client_order_id}, which was never taken"
    if not known.works:
        return f"speaks of order {fact.client_order_id}, which is {known.update().state}"
    if isinstance(fact, Filled):
        return _overfilled(fact.parts, known.left)
    if isinstance(fact, Amended) and fact.qty <= known.filled_qty:
        return f"gives order {fact.client_order_id} less than is filled of it"
    return None


def _overfilled(parts: tuple[Part, ...], left: Decimal) -> str | None:
    for part in parts:
        left = exact_sum(left, -part.qty)
        if part.qty <= 0 or left < 0:
            return f"has a trade of {part.qty}, which the order has no room for"
    return None


def quote_asset(symbol: str) -> str:
    """What a symbol is priced in, by the end of its name; `QUOTE` where that is none that is known."""
    for asset in _QUOTE_ASSETS:
        if symbol.endswith(asset) and symbol != asset:
            return asset
    return "QUOTE"
