"""Prices from the signals themselves: what a signal says it was worth, or one price for all that say nothing.

Pure. No price is ever made up: a signal without one is not executed unless a fall-back was set on purpose.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.contract import StartRefusal, Wait
from adapters.grid import usable
from adapters.paper.quotes import NoQuote, Quote

NO_PRICE = NoQuote(
    "no_price",
    "the signal has no price: set execution.paper.fallback_price, or execution.paper.prices to file (with"
    " execution.paper.price_file) or to book",
)


class SignalQuotes:
    """The `QuoteSource` of each signal's own price; `fallback_price` stands in where it has none."""

    def __init__(self, fallback_price: Decimal | None) -> None:
        self._fallback_price = fallback_price

    async def start(self) -> StartRefusal | None:
        """There is nothing to open."""

    def wait_for(self, symbol: str) -> Wait | None:
        """Never: a signal that has no price will not get one."""

    def quote(self, symbol: str, signal_price: Decimal | None, event_ts_ms: int) -> Quote | NoQuote:
        """The signal's price for both sides, as of the signal's own time."""
        price = self._fallback_price if signal_price is None else signal_price
        if price is None:
            return NO_PRICE
        if not usable(price):
            return NoQuote("bad_price", f"the signal's price is {price}, must be a number above 0")
        return Quote(price, price, event_ts_ms)

    async def look(self, symbol: str) -> None:
        """The price of a signal's own moment does not move."""

    async def close(self) -> None:
        """There is nothing to release."""
