"""From what is wanted to an order, sized with a book and aligned to the rules: the same on every venue.

Pure. A market order is sized with the price that it meets in the book: the ask when it buys, the bid when
it sells, unless there is hardly a book at all. A limit order takes the signal's own price when it has one,
else that book price, and is sized with the higher of the two, so that it is worth no more than
`order_size_usd` at either.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.contract import Order, OrderCtx, Reject
from adapters.filters import SymbolRules, Wanted, align, size
from adapters.grid import product, usable
from config.settings import OrderType

# A book whose ask is more than so many times its bid says little about what the asset is worth.
WIDE_BOOK = Decimal("1.05")


def sized(
    ctx: OrderCtx, rules: SymbolRules, *, bid: Decimal, ask: Decimal, order_size_usd: Decimal
) -> Order | Reject:
    """The order of a signal under the symbol's rules, or the reason why the venue would refuse it.

    `order_size_usd` is its value in quote units where the signal's context names neither quantity nor value.
    """
    meets = ask if ctx.side == "buy" else bid
    limit = None
    if ctx.order_type == OrderType.LIMIT:
        limit = ctx.price if ctx.price is not None else meets
    at = _sized_at(bid, ask, meets) if limit is None or not usable(limit) else max(limit, meets)
    wanted_usd = ctx.size_usd if ctx.size_usd is not None else order_size_usd
    qty = ctx.qty if ctx.qty is not None else size(wanted_usd, at)
    if isinstance(qty, Reject):
        return qty
    wanted = Wanted(
        side=ctx.side,
        order_type=ctx.order_type,
        tif=ctx.tif,
        qty=qty,
        price=limit,
        book_price=meets,
        # The venue measures a limit price against its mark or average price, which is this or close to it.
        reference_price=None if limit is None else (bid + ask) / 2,
    )
    aligned = align(rules, wanted)
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
    )


def _sized_at(bid: Decimal, ask: Decimal, meets: Decimal) -> Decimal:
    """The price that a market order is sized with.

    In a book that is nearly empty the bid may be a small part of what the asset is worth, and an order sized
    with it a large multiple of what was meant.
    """
    return meets if ask <= product(bid, WIDE_BOOK) else max(meets, ask)
