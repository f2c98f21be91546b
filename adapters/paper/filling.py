"""At which price an order fills, in which parts, and what it pays for that.

Pure. A book has its spread, so no slippage is assumed on one; a single price is moved against us by what the
cost model says, to the last digit and not to a tick. A limit order is never filled at a worse price than its
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from adapters.contract import Order, OrderSide, Reject
from adapters.costs import CostModel, MakerTakerCosts, StaticCosts
from adapters.filters import SymbolRules
from adapters.grid import canonical, exact_difference, exact_sum, plain, product
from adapters.paper.dice import Dice, gaps_ms, split
from adapters.paper.facts import Part
from adapters.paper.quotes import Quote
from adapters.paper.terms import Terms

# Who loses so much to the market gets nothing for what he sells.
ALL_OF_IT_BPS = Decimal(10_000)
_ONE = Decimal(1)
_PER_BASIS_POINT = Decimal("0.0001")


def crosses(order: Order, quote: Quote) -> bool:
    """Whether an order fills at once on this quote."""
    return order.price is None or reaches(order.side, order.price, quote)


def reaches(side: OrderSide, price: Decimal, quote: Quote) -> bool:
    """Whether a limit of `price` meets the other side of the quote."""
    return quote.ask <= price if side == "buy" else quote.bid >= price


class Filling:
    """The prices and parts of one venue's trades."""

    __slots__ = ("_costs", "_dice", "_down", "_taker_rate", "_terms", "_up", "never_wide")

    def __init__(self, terms: Terms, costs: CostModel, dice: Dice) -> None:
        self._terms = terms
        self._costs = costs
        self._dice = dice
        # What `taken_at_once` multiplies with; only where costs are the same for every order.
        flat = costs.costs(notional=_ONE, maker=False)
        self._up = _moved("buy", flat.slippage_bps)
        self._down = _moved("sell", flat.slippage_bps)
        self._taker_rate = product(flat.fee_bps, _PER_BASIS_POINT)
        # True where no order is ever too wide: nothing has to be worked out for that.
        fixed = isinstance(costs, StaticCosts | MakerTakerCosts)
        self.never_wide = fixed and terms.slippage_bps_max is None and flat.slippage_bps < ALL_OF_IT_BPS

    def too_wide(self, order: Order, quote: Quote) -> Reject | None:
        """Why the slippage that is assumed for the order is more than anyone would take, or None."""
        most = self._terms.slippage_bps_max
        if self.never_wide or quote.is_book or not crosses(order, quote):
            return None
        meets = quote.ask if order.side == "buy" else quote.bid
        slippage_bps = self._costs.costs(notional=product(order.qty, meets), maker=False).slippage_bps
        if most is not None and slippage_bps > most:
            return Reject(
                "slippage_too_wide",
                f"the assumed slippage is {plain(slippage_bps)} bps, at most {plain(most)} are allowed"
                " (execution.paper.slippage_bps_max)",
            )
        if order.side == "sell" and slippage_bps >= ALL_OF_IT_BPS:
            return Reject(
                "slippage_too_wide", f"the assumed slippage is {plain(slippage_bps)} bps, which is all of it"
            )
        return None

    def taken(self, order: Order, quote: Quote, rules: SymbolRules | None, now_ms: int) -> tuple[Part, ...]:
        """The trades of an order that takes what the quote offers; `too_wide` was asked before."""
        price, value, rate = self._taker(order, quote)
        return self._parts(order, order.qty, price, value, rate, rules, now_ms, maker=False)

    def taken_at_once(self, order: Order, quote: Quote, now_ms: int) -> Part:
        """The one trade of `taken`, for a market order where none is too wide and none fills in parts."""
        qty = order.qty
        if order.side == "buy":
            price = quote.ask if quote.is_book else product(quote.ask, self._up)
        else:
            price = quote.bid if quote.is_book else product(quote.bid, self._down)
        return Part(now_ms, qty, price, product(product(qty, price), self._taker_rate), False)

    def _taker(self, order: Order, quote: Quote) -> tuple[Decimal, Decimal, Decimal]:
        """Price, value, and the fee as a share of it."""
        price = quote.ask if order.side == "buy" else quote.bid
        value = product(order.qty, price)
        costs = self._costs.costs(notional=value, maker=False)
        if not quote.is_book and costs.slippage_bps:
            price = product(price, _moved(order.side, costs.slippage_bps))
            if order.price is not None:
                price = min(price, order.price) if order.side == "buy" else max(price, order.price)
            value = product(order.qty, price)
        return price, value, product(costs.fee_bps, _PER_BASIS_POINT)

    def waited(
        self, order: Order, qty: Decimal, price: Decimal, rules: SymbolRules | None, now_ms: int
    ) -> tuple[Part, ...]:
        """The trades of a resting order whose `price` the market has reached; `qty` is what is left of it."""
        value = product(qty, price)
        rate = product(self._costs.costs(notional=value, maker=True).fee_bps, _PER_BASIS_POINT)
        return self._parts(order, qty, price, value, rate, rules, now_ms, maker=True)

    def _parts(
        self,
        order: Order,
        qty: Decimal,
        price: Decimal,
        value: Decimal,
        rate: Decimal,
        rules: SymbolRules | None,
        now_ms: int,
        *,
        maker: bool,
    ) -> tuple[Part, ...]:
        """One trade, or for a share of the orders several, a few milliseconds apart."""
        share, order_id = self._terms.partial_share, order.client_order_id
        if not share or not self._dice.hits(share, order_id, "partial"):
            return (Part(now_ms, qty, price, product(value, rate), maker),)
        quantities = self._quantities(order_id, qty, rules)
        moments = gaps_ms(len(quantities), self._dice, order_id)
        return tuple(
            Part(now_ms + gap_ms, some, price, product(product(some, price), rate), maker)
            for some, gap_ms in zip(quantities, moments, strict=True)
        )

    def _quantities(self, order_id: str, qty: Decimal, rules: SymbolRules | None) -> Sequence[Decimal]:
        """`qty` in parts of whole steps; what is no whole step goes with the last."""
        step = rules.lot.step if rules is not None and rules.lot.step else _ONE
        units = int(qty // step)
        if units < 2:
            return [qty]
        quantities = [canonical(product(Decimal(part), step)) for part in split(units, self._dice, order_id)]
        rest = qty
        for some in quantities[:-1]:
            rest = exact_difference(rest, some)
        return [*quantities[:-1], canonical(rest)]


def _moved(side: OrderSide, slippage_bps: Decimal) -> Decimal:
    """What a price is multiplied with to be so much worse."""
    moved = product(slippage_bps, _PER_BASIS_POINT)
    return canonical(exact_sum(_ONE, moved) if side == "buy" else exact_difference(_ONE, moved))
