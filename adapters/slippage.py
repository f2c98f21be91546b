"""How much worse than intended an order was filled, in basis points.

Pure. The intended price is the one before rounding to a tick, so what alignment costs counts as slippage too.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.contract import Order, OrderSide
from adapters.grid import canonical, exact_difference, exact_sum, product, quotient, usable

BASIS_POINTS = Decimal(10_000)


def slippage_bps(side: OrderSide, intent: Decimal, fill: Decimal) -> Decimal:
    """The signed slippage of a fill, to 18 significant digits: above 0 is worse for us, below 0 better.

    `intent` is a price above 0; `fill` is any finite price in the same units.
    """
    assert usable(intent), intent
    lost = exact_difference(fill, intent) if side == "buy" else exact_difference(intent, fill)
    return canonical(quotient(product(lost, BASIS_POINTS), intent))


def intended_price(order: Order) -> Decimal | None:
    """What the order was meant to trade at: a limit before its rounding, else the book price at its sizing.

    None where the order says neither, as in a run without prices.
    """
    if order.price is None:
        return order.intent_price
    if order.rounding_diff is None:
        return order.price
    return canonical(exact_sum(order.price, Decimal(order.rounding_diff["price_diff"])))
