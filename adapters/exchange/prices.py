"""Where the exchange's prices come from: fixed, a random walk by seed, or a list with times.

Pure and repeatable: the same feed asked at the same moments answers the same. A price that someone sets
by hand (`set_price`) holds from then on; a walk goes on from it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Protocol

# A walk that was not asked for a long time catches up with at most so many steps.
STEPS_MAX = 100_000


class PriceFeed(Protocol):
    """Middle prices by symbol, as of the last `advance`."""

    def price(self, symbol: str) -> Decimal | None:
        """The middle of the book; None where the feed knows no such symbol."""

    def set_price(self, symbol: str, price: Decimal) -> None:
        """From now on `symbol` costs `price`."""

    def advance(self, now_ms: int) -> bool:
        """Move on to `now_ms`; True when a price may have changed."""

    def next_change_ms(self) -> int | None:
        """When the next price is due; None: never by itself."""


class FixedPrices:
    """Prices that stand until someone sets them."""

    def __init__(self, prices: Mapping[str, Decimal] | None = None) -> None:
        self._prices = dict(prices or {})

    def price(self, symbol: str) -> Decimal | None:
        """The price as set last."""
        return self._prices.get(symbol)

    def set_price(self, symbol: str, price: Decimal) -> None:
        """From now on `symbol` costs `price`."""
        self._prices[symbol] = price

    def advance(self, now_ms: int) -> bool:
        """Nothing moves by itself."""
        return False

    def next_change_ms(self) -> int | None:
        """Never."""
        return None


class RandomWalk(FixedPrices):
    """Every `step_ms` each price goes up or down by at most `step_bps` hundredths of a percent."""

    def __init__(
        self,
        prices: Mapping[str, Decimal],
        dice: random.Random,
        *,
        start_ms: int,
        step_ms: int = 1_000,
        step_bps: int = 2,
    ) -> None:
        super().__init__(prices)
        self._dice = dice
        self._step_ms = step_ms
        self._step_bps = step_bps
        self._due_ms = start_ms + step_ms

    def advance(self, now_ms: int) -> bool:
        """Take the steps that are due, symbol by symbol."""
        if now_ms < self._due_ms:
            return False
        steps = (now_ms - self._due_ms) // self._step_ms + 1
        for _ in range(min(steps, STEPS_MAX)):
            for symbol in sorted(self._prices):
                # Hundredths of a basis point, so that the walk needs no float.
                move = self._dice.randint(-100 * self._step_bps, 100 * self._step_bps)
                self._prices[symbol] *= 1 + Decimal(move) / 1_000_000
                self._prices[symbol] = self._prices[symbol].quantize(Decimal("1e-8"))
        self._due_ms += steps * self._step_ms
        return True

    def next_change_ms(self) -> int | None:
        """The next step."""
        return self._due_ms


class ListedPrices(FixedPrices):
    """Prices with their times, as (at_ms, symbol, price); the last one stands when the list is over."""

    def __init__(self, prices: Mapping[str, Decimal], rows: Iterable[tuple[int, str, Decimal]]) -> None:
        super().__init__(prices)
        self._rows = sorted(rows, key=lambda row: row[0], reverse=True)

    def advance(self, now_ms: int) -> bool:
        """Take the rows whose time has come."""
        moved = False
        while self._rows and self._rows[-1][0] <= now_ms:
            _, symbol, price = self._rows.pop()
            self._prices[symbol] = price
            moved = True
        return moved

    def next_change_ms(self) -> int | None:
        """The time of the next row."""
        return self._rows[-1][0] if self._rows else None


class PriceListError(Exception):
    """A price list that cannot be read."""


def listed_prices(text: str, start_ms: int) -> list[tuple[int, str, Decimal]]:
    """The rows of a price file, `offset_ms,SYMBOL,price` a line, offsets from the start; `#` comments."""
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split(",")
        if not "".join(words).strip():
            continue
        try:
            offset_ms, symbol, text = words
            price = Decimal(text.strip())
            if not price.is_finite() or price <= 0:
                raise ValueError(f"{price} is no price")
            rows.append((start_ms + int(offset_ms), symbol.strip(), price))
        except (ValueError, ArithmeticError) as error:
            raise PriceListError(
                f"price list line {number} is {line!r}, must be offset_ms,SYMBOL,price"
            ) from error
    return rows
