"""From the answer to a placed order to the word that the lane gets, and to what the adapter must do about it.

Pure. Only what proves something is said; everything else is unknown, and `lookup` finds out.
"""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

import msgspec

from adapters.binance.client import Answer, NoAnswer, NotLeft, Replied
from adapters.binance.verdicts import (
    STALE_RULES,
    Ambiguous,
    Backoff,
    Denied,
    Duplicate,
    NoSuchOrder,
    Ok,
    Refused,
    Resync,
    Verdict,
)
from adapters.binance.wire_replies import read_order
from adapters.contract import Accepted, NotSent, Order, OrderUpdate, Rejected, SubmitResult, Unknown


class Outcome(msgspec.Struct, frozen=True):
    """`result` for the lane; `denied` the sentence of a refused key; `resync`, `stale_rules`: ask anew."""

    result: SubmitResult
    denied: str | None = None
    resync: bool = False
    stale_rules: bool = False


def unanswered(answer: NotLeft | NoAnswer) -> Outcome:
    """Nothing came back: because nothing left, or nobody knows."""
    match answer:
        case NotLeft(code=code, text=text, retry_at_ms=retry_at_ms):
            return Outcome(NotSent(code, text, retry_at_ms), resync=code == "clock")
        case NoAnswer(why=why):
            return Outcome(Unknown(why))
        case _:
            assert_never(answer)


def answered(order: Order, reply: Replied, said: Verdict, *, deadline_wall_ms: int) -> Outcome:
    """A whole reply came; `said` is its verdict, `deadline_wall_ms` when a venue that asks for a pause is
    ready to listen again (host's wall clock).
    """
    match said:
        case Ok():
            return Outcome(_acknowledged(order, reply))
        case Refused(code=code, text=text):
            return Outcome(Rejected(code, text), stale_rules=code in STALE_RULES)
        case Duplicate(text=text):
            return Outcome(Unknown(f"an open order has this client order id already ({text})"))
        case Resync(text=text):
            return Outcome(NotSent("clock", text), resync=True)
        case Backoff(text=text):
            return Outcome(NotSent("rate_limited", text, deadline_wall_ms))
        case Denied(text=text):
            return Outcome(NotSent("denied", text), denied=text)
        case Ambiguous(why=why):
            return Outcome(Unknown(why))
        case NoSuchOrder(text=text):
            return Outcome(Unknown(f"an answer to another question ({text})"))
        case _:
            assert_never(said)


def outcome(order: Order, answer: Answer, said: Verdict | None, *, deadline_wall_ms: int) -> Outcome:
    """What an answer to the placing of `order` comes to; `said` is the verdict of a whole reply."""
    if isinstance(answer, Replied):
        assert said is not None
        return answered(order, answer, said, deadline_wall_ms=deadline_wall_ms)
    return unanswered(answer)


def _acknowledged(order: Order, reply: Replied) -> SubmitResult:
    """The order as the venue has it; fills are told by `updates()`, each with its price and fee."""
    placed = read_order(reply.body)
    if placed is None:
        return Unknown("HTTP 200 with a body that is no order")
    if (placed.client_order_id, placed.symbol) != (order.client_order_id, order.symbol):
        return Unknown("HTTP 200 with another order in it")
    if placed.status == "REJECTED":
        return Unknown("HTTP 200 with an order that is rejected")
    update = OrderUpdate(
        client_order_id=order.client_order_id,
        state="open",
        filled_qty=Decimal(0),
        exchange_order_id=str(placed.order_id),
        event_ms=placed.transact_time or placed.update_time,
        symbol=order.symbol,
    )
    return Accepted(update, sent_ts_ms=reply.sent_ms or None, ack_ts_ms=reply.received_ms or None)
