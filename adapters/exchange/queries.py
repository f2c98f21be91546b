"""What a client may ask about its orders and trades. An order can be accepted and not yet be found here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from adapters.exchange import refusals
from adapters.exchange.call import Answer, Call, Venue
from adapters.exchange.orders import DAY_MS, LiveOrder, Trade
from adapters.exchange.placing import named_order
from adapters.exchange.refusals import Refusal, mandatory
from adapters.exchange.words import oldest_first

Row = TypeVar("Row", LiveOrder, Trade)

LIMIT = 500
LIMIT_MAX = 1_000
SPAN_MS_MAX = {"futures": 7 * DAY_MS, "spot": DAY_MS}
SPOT_INTERVAL = Refusal(400, -1127, "More than 24 hours between startTime and endTime.")


def query_order(venue: Venue, call: Call) -> Answer | Refusal:
    """GET order: by number, else the newest with that client order id."""
    return _told(venue, call, open_only=False)


def open_order(venue: Venue, call: Call) -> Answer | Refusal:
    """GET openOrder: the same for one that still works."""
    return _told(venue, call, open_only=True)


def _told(venue: Venue, call: Call, *, open_only: bool) -> Answer | Refusal:
    named = named_order(call)
    if isinstance(named, Refusal):
        return named
    symbol, order_id, client_id = named
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    now_ms = venue.timeline.now_ms
    order = venue.book.find(call.owner.name, symbol, order_id, client_id, now_ms)
    if order is None or order.query_ms > now_ms or (open_only and not order.is_open):
        return refusals.NO_SUCH_ORDER
    return venue.words.order(order, venue.rules[symbol])


def open_orders(venue: Venue, call: Call) -> Answer | Refusal:
    """GET openOrders, of one symbol or of all."""
    symbol = call.params.get("symbol")
    if symbol is not None and symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    return [
        venue.words.order(order, venue.rules[order.terms.symbol])
        for order in venue.book.open_orders(call.owner.name, symbol)
        if order.listed_ms <= venue.timeline.now_ms
    ]


def all_orders(venue: Venue, call: Call) -> Answer | Refusal:
    """GET allOrders: from an order number on, or within a span of time (the last 7 days by default)."""
    span = _span(venue, call)
    if isinstance(span, Refusal):
        return span
    symbol, start_ms, end_ms, limit = span
    first = call.number("orderId")
    found = [
        order
        for order in _listed(venue, call, symbol)
        if start_ms <= order.created_ms <= end_ms and (first is None or order.order_id >= first)
    ]
    page = _page(found, limit, from_start=first is not None or "startTime" in call.params)
    return [venue.words.order(order, venue.rules[symbol]) for order in page]


def trades(venue: Venue, call: Call) -> Answer | Refusal:
    """GET userTrades and myTrades: of one order, from a trade number on, or within a span of time."""
    span = _span(venue, call)
    if isinstance(span, Refusal):
        return span
    symbol, start_ms, end_ms, limit = span
    order_id, first = call.number("orderId"), call.number("fromId")

    def wanted(trade: Trade) -> bool:
        return (
            (order_id is None or trade.order_id == order_id)
            and (first is None or trade.trade_id >= first)
            and start_ms <= trade.at_ms <= end_ms
        )

    found = [trade for order in _listed(venue, call, symbol) for trade in order.trades if wanted(trade)]
    page = _page(oldest_first(found), limit, from_start=first is not None or "startTime" in call.params)
    return [venue.words.trade(trade, venue.rules[symbol]) for trade in page]


def _listed(venue: Venue, call: Call, symbol: str) -> Iterator[LiveOrder]:
    now_ms = venue.timeline.now_ms
    history = venue.book.history(call.owner.name, symbol, now_ms)
    return (order for order in history if order.listed_ms <= now_ms)


def _span(venue: Venue, call: Call) -> tuple[str, int, int, int] | Refusal:
    """Symbol, first and last moment, and how many rows; a span that is too long is refused."""
    symbol = call.params.get("symbol")
    if symbol is None:
        return mandatory("symbol")
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    longest_ms = SPAN_MS_MAX[venue.market]
    start_ms, end_ms = call.number("startTime"), call.number("endTime")
    by_number = call.number("orderId") is not None or call.number("fromId") is not None
    if start_ms is None:
        end_known = end_ms is not None
        end_ms = end_ms if end_ms is not None else venue.timeline.now_ms
        # Spot answers for all of the past when no start is given, futures for the last 7 days.
        unbounded = by_number or (venue.market == "spot" and not end_known)
        start_ms = 0 if unbounded else end_ms - longest_ms
    elif end_ms is None:
        end_ms = start_ms + longest_ms
    if not by_number and start_ms and end_ms - start_ms > longest_ms:
        return refusals.INVALID_INTERVAL if venue.market == "futures" else SPOT_INTERVAL
    limit = call.number("limit")
    return symbol, start_ms, end_ms, min(LIMIT if limit is None else max(limit, 1), LIMIT_MAX)


def _page(rows: list[Row], limit: int, *, from_start: bool) -> list[Row]:
    """The first rows where a beginning was named, else the last ones; oldest first either way."""
    return rows[:limit] if from_start else rows[-limit:]
