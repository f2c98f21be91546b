"""An order of this exchange: sized with its book, and the window in which it may leave.

Pure.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters.binance.prices import BookPrice
from adapters.contract import Order, OrderCtx, Reject
from adapters.filters import SymbolRules
from adapters.sizing import sized


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
    order = sized(ctx, rules, bid=book.bid, ask=book.ask, order_size_usd=order_size_usd)
    return order if isinstance(order, Reject) else renew(order, window, ctx.life_end_ms)


def renew(order: Order, window: Window, life_end_ms: int | None) -> Order:
    """The same order with a new window; only for one that was never sent, or provably not accepted."""
    return msgspec.structs.replace(
        order, send_before_ms=window.send_before_ms(life_end_ms), recv_window_ms=window.recv_window_ms
    )
