"""What orders earned: realised profit at average cost, counted order by order, exact to the last digit.

Pure. The arithmetic of a position is the simulated venue's own (adapters/paper/positions.py), so a report and
a paper account never tell two stories. What is still held earns nothing here until it is closed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from adapters.contract import OrderSide
from adapters.grid import exact_difference, exact_sum, product, usable
from adapters.paper.positions import Position
from adapters.slippage import BASIS_POINTS

_ZERO = Decimal(0)
DAY_MS = 86_400_000


class Filled(NamedTuple):
    """What one order filled; `price` is its average, None where nobody knows. `fee` in quote units."""

    at_ms: int
    symbol: str
    side: OrderSide
    qty: Decimal
    price: Decimal | None
    fee: Decimal
    fee_assumed: bool
    # What it was meant to trade at, None where the order does not say.
    intent: Decimal | None = None


@dataclass(slots=True)
class Earned:
    """What some orders came to; money in quote units. `realised` is before fees."""

    filled: int = 0
    unpriced: int = 0
    fees_assumed: int = 0
    traded: Decimal = _ZERO
    fees: Decimal = _ZERO
    realised: Decimal = _ZERO
    closings: int = 0
    won: int = 0
    # The value at the prices that were meant, and what was lost against it.
    intended: Decimal = _ZERO
    lost: Decimal = _ZERO

    @property
    def net(self) -> Decimal:
        """Realised, less the fees."""
        return exact_difference(self.realised, self.fees)

    @property
    def win_rate(self) -> float | None:
        """Of the orders that closed something, the share that earned more than their own fee."""
        return self.won / self.closings if self.closings else None

    @property
    def slippage_bps(self) -> float | None:
        """Weighted by value; above 0 is worse than meant. None where no order says what it was meant at."""
        return float(self.lost * BASIS_POINTS / self.intended) if self.intended else None

    def take(self, filled: Filled, earned: Decimal | None) -> None:
        """One more order; `earned` is what it realised, None where it closed nothing."""
        self.filled += 1
        if filled.price is None:
            self.unpriced += 1
            return
        self.fees_assumed += filled.fee_assumed
        self.traded = exact_sum(self.traded, product(filled.qty, filled.price))
        self.fees = exact_sum(self.fees, filled.fee)
        if earned is not None:
            self.realised = exact_sum(self.realised, earned)
            self.closings += 1
            self.won += earned > filled.fee
        if filled.intent is not None:
            ahead = exact_difference(filled.price, filled.intent)
            moved = ahead if filled.side == "buy" else ahead.copy_negate()
            self.intended = exact_sum(self.intended, product(filled.intent, filled.qty))
            self.lost = exact_sum(self.lost, product(moved, filled.qty))


@dataclass(slots=True)
class Book:
    """Positions of all symbols, and what was earned since `since_ms`.

    Orders before it only build the positions. Fed in the order of time.
    """

    since_ms: int = 0
    positions: dict[str, Position] = field(default_factory=dict)
    by_symbol: dict[str, Earned] = field(default_factory=lambda: defaultdict(Earned))
    by_day: dict[tuple[int, str], Earned] = field(default_factory=lambda: defaultdict(Earned))

    def take(self, filled: Filled) -> Decimal | None:
        """Count one order; what it realised before fees, None where it closed nothing or came too early."""
        earned = self._moved(filled)
        if filled.at_ms < self.since_ms:
            return None
        self.by_symbol[filled.symbol].take(filled, earned)
        self.by_day[filled.at_ms // DAY_MS, filled.symbol].take(filled, earned)
        return earned

    def _moved(self, filled: Filled) -> Decimal | None:
        position = self.positions.setdefault(filled.symbol, Position())
        if filled.price is None:
            return None
        before, held = position.realised, position.qty
        position.fill(filled.side, filled.qty, filled.price, filled.fee)
        closes = (held > 0 and filled.side == "sell") or (held < 0 and filled.side == "buy")
        return exact_difference(position.realised, before) if closes else None


@dataclass(slots=True)
class Outcomes:
    """How many executions ended how."""

    by_status: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    by_symbol: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_day: dict[tuple[int, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def take(self, symbol: str, day: int, status: str, code: str | None, count: int) -> None:
        """So many more of one kind."""
        self.by_status[status] += count
        self.by_symbol[symbol][status] += count
        self.by_day[day, symbol][status] += count
        if status == "skip":
            self.skips[code or "no reason"] += count
        elif status == "failed":
            self.failures[code or "no reason"] += count


def readable(qty: Decimal, price: Decimal | None) -> bool:
    """Whether they can be counted with."""
    return usable(qty) and (price is None or usable(price))
