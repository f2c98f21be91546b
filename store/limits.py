"""The hard limits: which order may become a reservation at all.

They are looked at inside the reserving transaction, over what is committed and what was reserved just
before, so that no two lanes can both use the last of it. Unsettled orders count as filled. Whatever goes
wrong while a limit is looked at refuses the order: a check that cannot be made is no permission.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import reduce

import msgspec

from store import statements as sql
from store.holdings import EXACT, Terms, number
from store.lifecycle import State
from store.records import Limits, Reservation

MINUTE_MS = 60_000
# The position that the account had when the store began, as decimal text; the symbol follows.
BASELINE_STAMP = "baseline:"
WORDS_MAX = 200

# What reading a row or a number can end in. Nothing is caught that could be the disk's.
_UNREADABLE = (ArithmeticError, ValueError, TypeError, LookupError, RecursionError, msgspec.MsgspecError)

_decode = msgspec.json.Decoder(Terms).decode
_decode_all = msgspec.json.Decoder(list[Terms]).decode


class Breach(msgspec.Struct, frozen=True):
    """Why an order must not be: a fixed code and a sentence."""

    code: str
    text: str


class LimitCheck:
    """Looks at one order at a time; `is_on` is False when no limit is set."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.is_on = limits != Limits()

    def breach(self, connection: sqlite3.Connection, new: Reservation, now_ms: int) -> Breach | None:
        """Why this order must not be reserved; None when it may. Raises the disk's sqlite3.Error."""
        try:
            terms = _decode(new.order_json or "")
            _positive(terms.qty, "quantity")
            return self._value_breach(new, terms) or self._sum_breach(connection, new, terms, now_ms)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_ERROR:
                raise
            return _failed(error)
        except _UNREADABLE as error:
            return _failed(error)

    def _value_breach(self, new: Reservation, terms: Terms) -> Breach | None:
        limit_usd = self._limits.max_order_usd
        if limit_usd is None:
            return None
        value = EXACT.multiply(terms.qty, _price(new))
        if value <= limit_usd:
            return None
        text = f"the order is worth {value} USD, execution.risk.max_order_usd is {limit_usd}"
        return Breach("risk_order_usd", text[:WORDS_MAX])

    def _sum_breach(
        self, connection: sqlite3.Connection, new: Reservation, terms: Terms, now_ms: int
    ) -> Breach | None:
        """By what is in the store: the orders of the last minute, and the position that could come of all."""
        limits = self._limits
        parameters = (now_ms - MINUTE_MS, new.symbol, f"{BASELINE_STAMP}{new.symbol}")
        orders, holding, baseline, in_flight = connection.execute(sql.LIMIT_STATE, parameters).fetchone()
        if limits.max_orders_per_minute is not None and orders >= limits.max_orders_per_minute:
            text = (
                f"{orders} orders were reserved in the last 60 s, "
                f"execution.risk.max_orders_per_minute is {limits.max_orders_per_minute}"
            )
            return Breach("risk_rate", text)
        if limits.max_position_usd is None:
            return None
        known = EXACT.add(_finite(number(baseline), "baseline"), _finite(number(holding), "holding"))
        same_way = [other for other in _decode_all(in_flight) if other.side == terms.side]
        others = reduce(EXACT.add, [_positive(other.qty, "quantity") for other in same_way], Decimal(0))
        return self._position_breach(new, terms, known, others)

    def _position_breach(
        self, new: Reservation, terms: Terms, known: Decimal, others: Decimal
    ) -> Breach | None:
        """By the worst case: every order in the same direction is filled. What reduces is always allowed."""
        limit_usd = self._limits.max_position_usd
        assert limit_usd is not None
        direction = Decimal(1 if terms.side == "buy" else -1)
        before = EXACT.add(known, EXACT.multiply(direction, others))
        after = EXACT.add(before, EXACT.multiply(direction, terms.qty))
        value = EXACT.multiply(after.copy_abs(), _price(new))
        if value <= limit_usd or after.copy_abs() < before.copy_abs():
            return None
        text = (
            f"the position of {new.symbol} could become {after}, worth {value} USD, "
            f"execution.risk.max_position_usd is {limit_usd}"
        )
        return Breach("risk_position_usd", text[:WORDS_MAX])


def _finite(value: Decimal, name: str) -> Decimal:
    if not value.is_finite():
        raise ValueError(f"its {name} is {value}")
    return value


def _positive(value: Decimal, name: str) -> Decimal:
    if not value.is_finite() or value <= 0:
        raise ValueError(f"a {name} is {value}")
    return value


def _price(new: Reservation) -> Decimal:
    return _positive(Decimal(new.price or ""), "price")


def _failed(error: Exception) -> Breach:
    text = f"execution.risk could not be checked ({type(error).__name__}: {error})"
    return Breach("risk_check_failed", text[:WORDS_MAX])


def is_limited(new: Reservation) -> bool:
    """Whether limits apply: an order that is about to go over a wire, and is not there already."""
    return new.state is State.RESERVED and new.client_order_id is not None and not new.adopted


def runs(reservations: Sequence[Reservation]) -> Iterator[Sequence[Reservation]]:
    """Cut before every order that limits apply to: each of them is looked at after the one before it."""
    start = 0
    for index, new in enumerate(reservations):
        if index > start and is_limited(new):
            yield reservations[start:index]
            start = index
    yield reservations[start:]


def skip_of(new: Reservation, breach: Breach) -> Reservation:
    """The skip that an order becomes when a limit refuses it."""
    return msgspec.structs.replace(
        new,
        state=State.SKIPPED,
        side="skip",
        order_id=None,
        qty=None,
        client_order_id=None,
        order_json=None,
        error_code=breach.code,
        error_msg=breach.text,
    )
