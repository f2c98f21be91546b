"""Orders and trades of the past, window by window: all of them, or a word for why not all are known.

The venue answers for a limited span and a limited number of rows at once, and does not say which rows it
left out of a full page. So a full page counts for nothing and its window is asked for in halves: a list
with a hole in it would hide an order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from adapters.binance import wire
from adapters.binance.asking import Trouble, ask
from adapters.binance.client import Client
from adapters.binance.market import HISTORY_ROWS_MAX, HISTORY_SPAN_MS
from adapters.binance.wire import Request
from adapters.binance.wire_replies import OrderReply, TradeReply, read_orders, read_trades

# More questions than these are no history of an account that trades by signals.
PAGES_MAX = 500

Row = TypeVar("Row", OrderReply, TradeReply)


class _Pages(msgspec.Struct, frozen=True):
    """Since when, and how many questions it may cost."""

    client: Client
    since_ms: int
    urgent: bool
    most: int


async def orders_since(
    client: Client, symbol: str, since_ms: int, *, urgent: bool = True, pages_max: int = PAGES_MAX
) -> Sequence[OrderReply] | Trouble:
    """Every order of `symbol` that was created since `since_ms` (exchange clock), oldest first."""

    def window(start_ms: int, end_ms: int | None) -> Request:
        return wire.all_orders(client.market, symbol, start_ms=start_ms, end_ms=end_ms)

    pages = _Pages(client, since_ms, urgent, pages_max)
    return await _all_of(pages, window, read_orders, lambda order: order.order_id)


async def trades_since(
    client: Client, symbol: str, since_ms: int, *, urgent: bool = True, pages_max: int = PAGES_MAX
) -> Sequence[TradeReply] | Trouble:
    """Every trade of `symbol` since `since_ms` (exchange clock), oldest first."""

    def window(start_ms: int, end_ms: int | None) -> Request:
        return wire.trades(client.market, symbol, start_ms=start_ms, end_ms=end_ms)

    pages = _Pages(client, since_ms, urgent, pages_max)
    return await _all_of(pages, window, read_trades, lambda trade: trade.id)


async def _all_of(
    pages: _Pages,
    window: Callable[[int, int | None], Request],
    read: Callable[[bytes], tuple[Row, ...] | None],
    number_of: Callable[[Row], int],
) -> Sequence[Row] | Trouble:
    client = pages.client
    found: dict[int, Row] = {}
    widest_ms = HISTORY_SPAN_MS[client.market]
    start_ms, span_ms = pages.since_ms, widest_ms
    for _ in range(pages.most):
        now_ms = client.exchange_clock.now_ms()
        # The last window has no end: what is accepted while it is asked for belongs to it.
        end_ms = start_ms + span_ms if start_ms + span_ms <= now_ms else None
        rows = await ask(client, window(start_ms, end_ms), read, urgent=pages.urgent)
        if isinstance(rows, Trouble):
            return rows
        if len(rows) >= HISTORY_ROWS_MAX:
            span_ms = (now_ms - start_ms if end_ms is None else span_ms) // 2
            if span_ms < 1:
                return Trouble("unavailable", f"more than {HISTORY_ROWS_MAX} rows within a millisecond")
            continue
        found.update((number_of(row), row) for row in rows)
        if end_ms is None:
            return [found[number] for number in sorted(found)]
        start_ms, span_ms = end_ms, min(span_ms * 2, widest_ms)
    return Trouble("unavailable", f"the history is longer than {pages.most} pages")
