"""The outcomes of one order on two venues, and how alike they are.

Pure. A pair is alike when both venues brought the order to the same state, refused it for the same reason
when they did, and filled it at prices that hardly differ. What one of them does not tell (dry-run has no
price where the signal has none) is held against nobody.
"""

from __future__ import annotations

import base64
from collections import deque
from decimal import Decimal
from hashlib import blake2b
from typing import Literal, assert_never

import msgspec

from adapters.contract import Accepted, NotSent, Order, OrderUpdate, Rejected, SubmitResult, Unknown
from adapters.grid import product, usable

# Begins every client order id on the second venue, and none on the main one.
SHADOW_PREFIX = "sh1-"
_MAIN_PREFIX = "ew1-"
_BPS = Decimal(10_000)
FINAL_STATES = ("filled", "canceled", "expired", "rejected")

Difference = Literal["status", "reason", "price"]
Count = Literal["alike", "different", "dropped", "not_compared"]
COUNTS: tuple[Count, ...] = ("alike", "different", "dropped", "not_compared")


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an order: an order state or `rejected`, with the code of the reason.

    `price` is the average price of what was filled; None: nothing was, or nobody told.
    """

    status: str
    reason: str | None = None
    price: Decimal | None = None

    @property
    def final(self) -> bool:
        """Nothing more will happen to the order."""
        return self.status in FINAL_STATES


class Pair(msgspec.Struct, frozen=True):
    """One order on both venues; `differences` is empty when they did alike. `at_ms`: when it was compared."""

    at_ms: int
    symbol: str
    side: str
    qty: Decimal
    signal_id: str
    client_order_id: str
    shadow_order_id: str
    main: Outcome
    shadow: Outcome
    differences: tuple[Difference, ...]


def shadow_order_id(order: Order) -> str:
    """The client order id of the copy: the shadow's prefix and the 24 characters of the signal's order."""
    if order.client_order_id.startswith(_MAIN_PREFIX):
        return SHADOW_PREFIX + order.client_order_id.removeprefix(_MAIN_PREFIX)
    # What touches no wire has order ids of other kinds; these are the characters that it would have there.
    digest = blake2b(f"{order.symbol}|{order.signal_id}".encode(), digest_size=15).digest()
    return SHADOW_PREFIX + base64.b32encode(digest).decode().lower()


def outcome_of(update: OrderUpdate) -> Outcome:
    """The venue's present word on an order; a price that is none was not told."""
    price = update.average_price if update.filled_qty else None
    return Outcome(update.state, update.reason, price if price is not None and usable(price) else None)


def outcome_of_answer(result: SubmitResult) -> Outcome | None:
    """What an answer says became of the order; None where it does not say."""
    match result:
        case Accepted(update=update):
            return outcome_of(update)
        case Rejected(code=code):
            return Outcome("rejected", code)
        case NotSent() | Unknown():
            return None
        case _:
            assert_never(result)


def differences(main: Outcome, shadow: Outcome, tolerance_bps: Decimal) -> tuple[Difference, ...]:
    """In what the two are not alike; prices may be `tolerance_bps` of the main one's apart."""
    if main.status != shadow.status:
        return ("status",)
    found: list[Difference] = []
    if main.status == "rejected" and main.reason != shadow.reason:
        found.append("reason")
    if (
        main.price is not None
        and shadow.price is not None
        and product(abs(main.price - shadow.price), _BPS) > product(tolerance_bps, main.price)
    ):
        found.append("price")
    return tuple(found)


def kind_of(pair: Pair) -> str:
    """The kind of difference in a few words, for counting: `filled, shadow rejected (no_liquidity)`."""
    if not pair.differences:
        return "alike"
    if pair.differences == ("price",):
        return f"{pair.main.status} at other prices"
    told = [outcome.status for outcome in (pair.main, pair.shadow)]
    for index, outcome in enumerate((pair.main, pair.shadow)):
        if outcome.status == "rejected" and outcome.reason is not None:
            told[index] += f" ({outcome.reason})"
    return f"{told[0]}, shadow {told[1]}"


class Parity:
    """The share of like pairs among the last `window` ones."""

    def __init__(self, window: int) -> None:
        self._last: deque[bool] = deque(maxlen=window)
        self._alike = 0

    @property
    def compared(self) -> int:
        """How many pairs the share is taken over."""
        return len(self._last)

    @property
    def different(self) -> int:
        """How many of them differ."""
        return len(self._last) - self._alike

    @property
    def ratio(self) -> float:
        """Like pairs by compared ones, 1 while there is none."""
        return self._alike / len(self._last) if self._last else 1.0

    def add(self, alike: bool) -> None:
        """One more pair; the oldest leaves when the window is full."""
        if len(self._last) == self._last.maxlen:
            self._alike -= self._last[0]
        self._last.append(alike)
        self._alike += alike
