"""What the exchange says of an order, whoever said it: a query, a list, a stream event.

Pure values. A fact tells the order's own terms beside its state, so that it can be compared with the row.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters.contract import Order

# Final ones, the strongest first: what several of them claim of one order, the first is believed.
FINAL_STATUSES = ("FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED")


class OrderFact(msgspec.Struct, frozen=True):
    """One order as shown at one moment; `executed_qty` never falls from one fact to a later one."""

    client_order_id: str
    order_id: int
    symbol: str
    side: str
    order_type: str
    qty: Decimal
    price: Decimal | None
    status: str
    executed_qty: Decimal
    created_ms: int | None = None
    at_ms: int | None = None

    @property
    def final(self) -> bool:
        """True when the order works no more."""
        return self.status in FINAL_STATUSES


class TradeFact(msgspec.Struct, frozen=True):
    """One trade of one order; unique by its id within the symbol. `buys` is None where it was not told."""

    trade_id: int
    order_id: int
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int | None = None
    buys: bool | None = None


def difference(fact: OrderFact, order: Order) -> str | None:
    """How the exchange's order differs from the row in its terms; None: not at all."""
    terms: list[tuple[str, object, object]] = [
        ("symbol", fact.symbol, order.symbol),
        ("side", fact.side.lower(), order.side),
        ("type", fact.order_type.lower(), order.order_type.lower()),
        ("quantity", fact.qty, order.qty),
    ]
    if order.order_type.lower() == "limit":
        terms.append(("price", fact.price, order.price))
    differing = [f"{name} {there} instead of {ours}" for name, there, ours in terms if there != ours]
    return ", ".join(differing) or None
