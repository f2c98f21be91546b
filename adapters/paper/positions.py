"""A position and what it earned, at average cost.

Pure. Nothing is lost in rounding: the money paid and received always equals the realised profit less the cost
of what is still held, to the last digit.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.contract import OrderSide
from adapters.grid import exact_difference, exact_sum, product, quotient

_ZERO = Decimal(0)


class Position:
    """One symbol's holdings: `qty` signed in base units; `cost`, `realised` and `fees` in quote units.

    `cost` is what the present holdings were bought for, negative where they were sold short. `realised` is
    before fees. `traded` is the value of all fills.
    """

    __slots__ = ("cost", "fees", "fills", "qty", "realised", "traded")

    def __init__(self) -> None:
        self.qty = _ZERO
        self.cost = _ZERO
        self.realised = _ZERO
        self.fees = _ZERO
        self.traded = _ZERO
        self.fills = 0

    @property
    def average_cost(self) -> Decimal | None:
        """The price that the present holdings were traded at, to 18 significant digits; None when flat."""
        return quotient(self.cost, self.qty) if self.qty else None

    def fill(self, side: OrderSide, qty: Decimal, price: Decimal, fee: Decimal) -> None:
        """Take in one trade; `qty` and `price` are above 0, a fee below 0 is a rebate."""
        value = product(qty, price)
        self.count(1, value, fee)
        if side == "sell":
            # A minus sign would round to whatever the process's context says.
            qty, value = qty.copy_negate(), value.copy_negate()
        self.take(qty, value, price)

    def count(self, fills: int, value: Decimal, fee: Decimal) -> None:
        """So many more trades, with their value and fees together."""
        self.fees = exact_sum(self.fees, fee)
        self.traded = exact_sum(self.traded, value)
        self.fills += fills

    def take(self, qty: Decimal, value: Decimal, price: Decimal) -> None:
        """Hold so much more, or less where `qty` and `value` are below 0; who calls it counts the trades."""
        if not self.qty or (self.qty > 0) == (qty > 0):
            self.qty = exact_sum(self.qty, qty)
            self.cost = exact_sum(self.cost, value)
        else:
            self._reduce(qty, value, price)

    def _reduce(self, qty: Decimal, value: Decimal, price: Decimal) -> None:
        left = exact_sum(self.qty, qty)
        if not left or (left > 0) != (self.qty > 0):
            # Closed, and what is beyond that opens the other way at this price.
            opened = product(left, price)
            self.realised = exact_difference(exact_difference(self.realised, self.cost), value)
            self.realised = exact_sum(self.realised, opened)
            self.qty, self.cost = left, opened
            return
        # Cut to 18 digits; what the cut leaves stays with the rest.
        released = quotient(product(self.cost, qty.copy_negate()), self.qty)
        self.realised = exact_difference(exact_difference(self.realised, value), released)
        self.cost = exact_difference(self.cost, released)
        self.qty = left
