"""From what is wanted to the order of the simulated venue: sized, aligned, and not worse than allowed.

Pure. The same signal gives the same quantity here as on the exchange with the same book: a market order is
sized with the price that it meets, a limit order with the higher of that and its own.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.contract import Order, OrderCtx, Reject
from adapters.filters import SymbolRules, Wanted, align, size
from adapters.grid import product, usable
from adapters.paper.quotes import Quote

LIMIT = "limit"
# A book whose ask is more than so many times its bid says little about what the asset is worth.
WIDE_BOOK = Decimal("1.05")


def sized(ctx: OrderCtx, rules: SymbolRules, quote: Quote, *, size_usd: Decimal) -> Order | Reject:
    """The order of a signal under the symbol's rules, or the reason why it is refused.

    `size_usd` is its value in quote units where the signal's context names neither quantity nor value.
    """
    if not (usable(quote.bid) and usable(quote.ask)):
        return Reject("bad_price", f"{ctx.symbol} is quoted at {quote.bid} to {quote.ask}, must be above 0")
    meets = quote.ask if ctx.side == "buy" else quote.bid
    limit = None
    if ctx.order_type == LIMIT:
        limit = ctx.price if ctx.price is not None else meets
    if limit is None or not usable(limit):
        at = meets if quote.ask <= product(quote.bid, WIDE_BOOK) else max(meets, quote.ask)
    else:
        at = max(limit, meets)
    wanted_usd = ctx.size_usd if ctx.size_usd is not None else size_usd
    qty = ctx.qty if ctx.qty is not None else size(wanted_usd, at)
    if isinstance(qty, Reject):
        return qty
    middle = None if limit is None else (quote.bid + quote.ask) / 2
    aligned = align(
        rules,
        Wanted(
            side=ctx.side,
            order_type=ctx.order_type,
            tif=ctx.tif,
            qty=qty,
            price=limit,
            book_price=meets,
            reference_price=middle,
        ),
    )
    if isinstance(aligned, Reject):
        return aligned
    return Order(
        client_order_id=ctx.client_order_id,
        symbol=ctx.symbol,
        side=ctx.side,
        order_type=ctx.order_type,
        tif=ctx.tif,
        qty=aligned.qty,
        price=aligned.price,
        signal_id=ctx.signal_id,
        intent_price=meets,
        rounding_diff=aligned.rounding_diff,
        event_ts_ms=ctx.event_ts_ms,
    )
