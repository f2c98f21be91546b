"""What has happened at the simulated venue: one fact for each thing that an order went through.

Pure. The venue's orders and positions follow from its facts alone, in their order, so a journal of them is
all that is needed after a crash. An order and what filled at once is one fact: no crash can come between.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from adapters.contract import Order

Ending = Literal["canceled", "expired"]


class Part(msgspec.Struct, frozen=True, gc=False):
    """One trade: quantity in base units, price and fee in quote units, `at_ms` by the venue's clock."""

    at_ms: int
    qty: Decimal
    price: Decimal
    fee: Decimal
    maker: bool


class End(msgspec.Struct, frozen=True, gc=False):
    """The order stopped working before it was filled."""

    at_ms: int
    state: Ending
    reason: str


class Placed(msgspec.Struct, frozen=True, tag_field="fact", tag="placed"):
    """The venue took an order, as its `number`th; `parts` and `end` are what became of it at once."""

    number: int
    at_ms: int
    order: Order
    parts: tuple[Part, ...] = ()
    end: End | None = None


class Filled(msgspec.Struct, frozen=True, tag_field="fact", tag="filled"):
    """An order that worked was filled, in one or several parts."""

    client_order_id: str
    parts: tuple[Part, ...]


class Amended(msgspec.Struct, frozen=True, tag_field="fact", tag="amended"):
    """An order goes on working with another quantity and price."""

    client_order_id: str
    at_ms: int
    qty: Decimal
    price: Decimal


class Ended(msgspec.Struct, frozen=True, tag_field="fact", tag="ended"):
    """An order that worked stopped working."""

    client_order_id: str
    end: End


Fact = Placed | Filled | Amended | Ended


def order_id_of(fact: Fact) -> str:
    """The client order id of the order that a fact is about."""
    return fact.order.client_order_id if isinstance(fact, Placed) else fact.client_order_id
