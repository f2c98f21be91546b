"""PUT order: a working futures limit order under new terms, with its number, its place and its fills.

A change that the filters refuse leaves the order as it is; one that asks for no more than what is filled
already ends it, and so does one that would make a maker-only order take.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters.exchange import refusals
from adapters.exchange.call import Answer, Call, Venue
from adapters.exchange.filters import refuse_futures
from adapters.exchange.orders import LiveOrder, Terms
from adapters.exchange.placing import named_order
from adapters.exchange.refusals import Refusal, mandatory

NOTHING_TO_CHANGE = Refusal(400, -5027, "No need to modify the order.")
NOT_LIMIT = Refusal(400, -5025, "Only limit order is supported.")


def amend_order(venue: Venue, call: Call) -> Answer | Refusal:
    """Change quantity and price of an open limit order; both must be sent, changed or not."""
    for name in ("symbol", "side", "quantity", "price"):
        if name not in call.params:
            return mandatory(name)
    order = _named(venue, call)
    if isinstance(order, Refusal):
        return order
    over = venue.limiter.take_order(order.terms.account, venue.timeline.now_ms)
    if over is not None:
        return over
    wanted = msgspec.structs.replace(
        order.terms, qty=Decimal(call.params["quantity"]), price=Decimal(call.params["price"])
    )
    refusal = _refuse(venue, call, order, wanted)
    if refusal is not None:
        return refusal
    takes = wanted.tif == "GTX" and venue.quotes.crosses(wanted)
    if takes or wanted.qty <= order.executed:
        venue.matcher.end(order, "CANCELED")
    else:
        venue.matcher.amend(order, wanted)
    return venue.words.placed(order, venue.rules[wanted.symbol], "RESULT")


def _named(venue: Venue, call: Call) -> LiveOrder | Refusal:
    named = named_order(call)
    if isinstance(named, Refusal):
        return named
    symbol, order_id, client_id = named
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    order = venue.book.find(call.owner.name, symbol, order_id, client_id, venue.timeline.now_ms)
    if order is None or not order.is_open or order.terms.side != call.params["side"]:
        return refusals.NO_SUCH_ORDER
    return order


def _refuse(venue: Venue, call: Call, order: LiveOrder, wanted: Terms) -> Refusal | None:
    if call.fence_ms is not None and call.fence_ms < venue.timeline.now_ms:
        return refusals.OUTSIDE_ENGINE_WINDOW
    if order.terms.type != "LIMIT":
        return NOT_LIMIT
    if (wanted.qty, wanted.price) == (order.terms.qty, order.terms.price):
        return NOTHING_TO_CHANGE
    return refuse_futures(wanted, venue.rules[wanted.symbol], venue.quotes.middle(wanted.symbol))
