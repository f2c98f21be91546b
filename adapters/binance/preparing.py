"""From what is wanted to the order exactly as it will be sent, and the window in which it may leave.

Pure. A market order is sized with the price that it meets in the book: the ask when it buys, the bid when
it sells, unless there is hardly a book at all. A limit order takes the signal's own price when it has one,
else that book price, and is sized with the higher of the two, so that it is worth no more than
`order_size_usd` at either.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters.binance.prices import BookPrice
from adapters.contract import Order, OrderCtx, Reject
from adapters.filters import SymbolRules, Wanted, align, size
from adapters.grid import product, usable
from config.settings import OrderType

# A book whose ask is more than so many times its bid says little about what the asset is worth.
WIDE_BOOK = Decimal("1.05")


class Window(msgspec.Struct, frozen=True):
    """How long an order may be signed for, and how long the venue may take it after that.

    `offset_ms` is the exchange's clock minus the host's wall clock, by which signals are dated.
    """

    now_ms: int
    offset_ms: int
    send_window_ms: int
    recv_window_ms: int

    def send_before_ms(self, life_end_ms: int | None) -> int:
        """The latest time stamp (exchange clock); one that has passed for a signal whose life is over."""
        end_ms = self.now_ms + self.send_window_ms
        return end_ms if life_end_ms is None else min(end_ms, life_end_ms + self.offset_ms)


def prepare(
    ctx: OrderCtx, rules: SymbolRules, book: BookPrice, window: Window, *, order_size_usd: Decimal
) -> Order | Reject:
    """The order of a signal under the symbol's rules, or the reason why the venue would refuse it."""
    meets = book.ask if ctx.side == "buy" else book.bid
    limit = None
    if ctx.order_type == OrderType.LIMIT:
        limit = ctx.price if ctx.price is not None else meets
    at = _sized_at(book, meets) if limit is None or not usable(limit) else max(limit, meets)
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
        reference_price=None if limit is None else (book.bid + book.ask) / 2,
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
        send_before_ms=window.send_before_ms(ctx.life_end_ms),
        recv_window_ms=window.recv_window_ms,
        intent_price=meets,
        rounding_diff=aligned.rounding_diff,
    )


def _sized_at(book: BookPrice, meets: Decimal) -> Decimal:
    """The price that a market order is sized with.

    In a book that is nearly empty the bid may be a small part of what the asset is worth, and an order sized
    with it a large multiple of what was meant.
    """
    return meets if book.ask <= product(book.bid, WIDE_BOOK) else max(meets, book.ask)


def renew(order: Order, window: Window, life_end_ms: int | None) -> Order:
    """The same order with a new window; only for one that was provably not accepted."""
    return msgspec.structs.replace(
        order, send_before_ms=window.send_before_ms(life_end_ms), recv_window_ms=window.recv_window_ms
    )
