"""What the simulated venue asks of a source of prices: a quote for a symbol and moment, or why there is none.

Pure. Prices are Decimal in quote units, times UTC epoch milliseconds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from adapters.contract import StartRefusal, Wait


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask; equal where the source knows one price alone.

    `is_book` is True where both sides are real, so that the spread is a cost already and none is assumed.
    """

    bid: Decimal
    ask: Decimal
    at_ms: int
    is_book: bool = False


class NoQuote(msgspec.Struct, frozen=True, gc=False):
    """Why there is no price to trade at; `code` is the reason code of the rejected row."""

    code: Literal["no_price", "bad_price", "stale_price"]
    text: str


class QuoteSource(Protocol):
    """Where prices come from: the signals themselves, a file, or an exchange's book."""

    async def start(self) -> StartRefusal | None:
        """Open it; why it cannot be used, as one sentence."""

    def wait_for(self, symbol: str) -> Wait | None:
        """Why no order of `symbol` can be priced now although one may be later; None: ask `quote`."""

    def quote(self, symbol: str, signal_price: Decimal | None, event_ts_ms: int) -> Quote | NoQuote:
        """The price for an order of `symbol` whose signal has this price and time. Cheap, no I/O."""

    async def look(self, symbol: str) -> None:
        """Bring the price of `symbol` up to now, where it moves by itself: an order is about to meet it.

        Bounded; where it cannot be had, `quote` answers with what is known.
        """

    async def close(self) -> None:
        """Release what is held."""
