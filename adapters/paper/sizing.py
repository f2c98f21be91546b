"""The order of the simulated venue: sized with its quote as on any other venue.

Pure. The same signal gives the same quantity here as on the exchange with the same book.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters import sizing
from adapters.contract import Order, OrderCtx, Reject
from adapters.filters import SymbolRules
from adapters.grid import usable
from adapters.paper.quotes import Quote


def sized(ctx: OrderCtx, rules: SymbolRules, quote: Quote, *, size_usd: Decimal) -> Order | Reject:
    """The order of a signal under the symbol's rules, or the reason why it is refused.

    `size_usd` is its value in quote units where the signal's context names neither quantity nor value.
    """
    if not (usable(quote.bid) and usable(quote.ask)):
        return Reject("bad_price", f"{ctx.symbol} is quoted at {quote.bid} to {quote.ask}, must be above 0")
    order = sizing.sized(ctx, rules, bid=quote.bid, ask=quote.ask, order_size_usd=size_usd)
    if isinstance(order, Reject):
        return order
    return msgspec.structs.replace(order, event_ts_ms=ctx.event_ts_ms)
