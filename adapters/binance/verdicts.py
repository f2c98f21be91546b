"""Verdicts: what an answer proves about the order that it answers.

Pure, by (market, HTTP status, code, text), because codes mean different things on different markets.
While an order is being placed only what the tables name counts as "not accepted"; every other answer is
ambiguous. A wrong doubt costs a minute of questions, a wrong certainty costs a second order or an order
that nobody follows. Sources: the public error pages of both markets, and reports of what they leave out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from adapters.binance.market import Market
from adapters.binance.wire_replies import ErrorReply, read_error, read_order

# The exchange's own words, shortened: they end in rows, logs and alerts.
_TEXT_MAX = 200

# Longer runs are no words: a hostile or odd server may echo a signature or a key.
_SECRET_LIKE = re.compile(r"[A-Za-z0-9%+/=_-]{40,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_BANNED_UNTIL = re.compile(r"banned until (\d{13})\b")


class Ok(msgspec.Struct, frozen=True):
    """Done; the body has the rest."""


class Refused(msgspec.Struct, frozen=True):
    """Provably not done. `code` is one of our fixed reason codes, `text` the exchange's code and words."""

    code: str
    text: str


class Duplicate(msgspec.Struct, frozen=True):
    """An open order has our client order id: an earlier send was accepted, adopt it by a query."""

    text: str


class Resync(msgspec.Struct, frozen=True):
    """Not done because the clocks disagree: measure again and sign anew under the same client order id."""

    text: str


class Backoff(msgspec.Struct, frozen=True):
    """Not done; nobody sends before `until_ms` (exchange clock) or for `retry_after_s`, as far as told."""

    until_ms: int | None
    retry_after_s: int | None
    text: str


class Denied(msgspec.Struct, frozen=True):
    """Not done, and asking again will not help: key, signature, rights or address. A halt is due."""

    text: str


class Ambiguous(msgspec.Struct, frozen=True):
    """Perhaps done. An order is unknown now, a question has no answer."""

    why: str


class NoSuchOrder(msgspec.Struct, frozen=True):
    """The exchange shows no such order now (a query), or none that works (a cancel): no proof of absence."""

    text: str


Verdict = Ok | Refused | Duplicate | Resync | Backoff | Denied | Ambiguous | NoSuchOrder

# Reasons that mean our copy of the symbol's rules is stale: it is to be read again.
STALE_RULES = frozenset({"invalid_quantity", "min_notional", "percent_price", "price_filter"})

# Some of these are documented as "failed"; a production report has a placed order behind a -1008.
_AMBIGUOUS = frozenset({-1000, -1001, -1006, -1007, -1008})
_BACKOFF = frozenset({-1003, -1015})
_DENIED = {
    Market.FUTURES: frozenset({-1002, -1011, -1022, -2014, -2015, -2017, -4087, -4088, -4109}),
    Market.SPOT: frozenset({-1002, -1022, -2014, -2015}),
}
# 451: the edge refuses the country, before anything reads the request.
_DENIED_STATUS = frozenset({401, 403, 451})
_RESYNC = {Market.FUTURES: frozenset({-1021, -5028}), Market.SPOT: frozenset({-1021})}

_REJECTED_BY_BOTH = {
    -1014: "venue_rejected",
    -1100: "venue_rejected",
    -1101: "venue_rejected",
    -1102: "venue_rejected",
    -1103: "venue_rejected",
    -1104: "venue_rejected",
    -1105: "venue_rejected",
    -1106: "venue_rejected",
    -1108: "venue_rejected",
    -1112: "no_liquidity",
    -1114: "venue_rejected",
    -1115: "venue_rejected",
    -1116: "venue_rejected",
    -1117: "venue_rejected",
    -1118: "venue_rejected",
    -1121: "unknown_symbol",
    -1128: "venue_rejected",
    -1130: "venue_rejected",
    -1131: "venue_rejected",
}
_REJECTED_BY_FUTURES = {
    -1136: "venue_rejected",
    -2018: "insufficient_margin",
    -2019: "insufficient_margin",
    -2020: "no_liquidity",
    -2021: "venue_rejected",
    -2022: "reduce_only_rejected",
    -2023: "account_restricted",
    -2024: "reduce_only_rejected",
    -2025: "too_many_open_orders",
    -2026: "reduce_only_rejected",
    -2027: "position_limit",
    -2028: "insufficient_margin",
    -4000: "venue_rejected",
    -4001: "price_filter",
    -4002: "price_filter",
    -4003: "invalid_quantity",
    -4004: "invalid_quantity",
    -4005: "invalid_quantity",
    -4013: "price_filter",
    -4014: "price_filter",
    -4015: "invalid_client_order_id",
    -4016: "percent_price",
    -4023: "invalid_quantity",
    -4024: "percent_price",
    -4029: "price_filter",
    -4030: "invalid_quantity",
    -4050: "insufficient_margin",
    -4051: "insufficient_margin",
    -4060: "position_side",
    -4061: "position_side",
    -4062: "reduce_only_rejected",
    -4118: "reduce_only_rejected",
    -4120: "venue_rejected",
    -4131: "percent_price",
    -4140: "symbol_not_trading",
    -4141: "symbol_not_trading",
    -4164: "min_notional",
    -4183: "percent_price",
    -4184: "percent_price",
    -4192: "account_restricted",
    -4400: "account_restricted",
    -4401: "account_restricted",
    -4402: "account_restricted",
    -5021: "unfilled",
    -5022: "unfilled",
    -5024: "symbol_not_trading",
    -5025: "venue_rejected",
    -5026: "venue_rejected",
    -5027: "venue_rejected",
    -5029: "min_notional",
    -5037: "venue_rejected",
    -5038: "venue_rejected",
    -5039: "venue_rejected",
    -5040: "venue_rejected",
    -5041: "no_liquidity",
}
# The codes of a 4xx that says that an order was provably not accepted, and our word for the reason.
REJECTED = {
    Market.FUTURES: {**_REJECTED_BY_BOTH, **_REJECTED_BY_FUTURES},
    Market.SPOT: _REJECTED_BY_BOTH,
}
# These have their reason in the text; the first phrase that it holds decides.
_REJECTED_BY_TEXT = frozenset({-1013, -1111, -2010})
_PHRASES = (
    ("percent_price", "percent_price"),
    ("price_filter", "price_filter"),
    ("lot_size", "invalid_quantity"),
    ("notional", "min_notional"),
    ("max_position", "position_limit"),
    ("max_num", "too_many_open_orders"),
    ("insufficient balance", "insufficient_balance"),
    ("market is closed", "symbol_not_trading"),
    ("for this account", "account_restricted"),
    ("on this account", "account_restricted"),
    ("may not place", "account_restricted"),
    ("trading is not enabled", "account_restricted"),
    ("liquidity", "no_liquidity"),
    ("qty is zero", "invalid_quantity"),
    ("invalid quantity", "invalid_quantity"),
    ("invalid price", "price_filter"),
    ("'price'", "price_filter"),
    ("precision", "invalid_quantity"),
)


class WholeReply(Protocol):
    """A reply as the wire or the client hands it over; header names in lower case."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""

    @property
    def body(self) -> bytes:
        """All of the body."""


def reply_verdict(market: Market, reply: WholeReply, *, placing: bool) -> Verdict:
    """What a whole reply proves. While placing, a 200 counts only when its body is an order."""
    error = (read_error(reply.body) if reply.status != 200 else None) or ErrorReply()
    answer = verdict(market, reply.status, error.code, error.msg, placing=placing, headers=reply.headers)
    if placing and isinstance(answer, Ok) and read_order(reply.body) is None:
        return Ambiguous("HTTP 200 with a body that is no order")
    return answer


def verdict(
    market: Market, status: int, code: int | None, text: str, *, placing: bool, headers: Mapping[str, str]
) -> Verdict:
    """What a status, an error code and its text prove; header names in lower case.

    Where status and code disagree, the more doubtful reading wins. `code` is None when the body has none.
    """
    said = _said(status, code, text)
    if status == 200:
        return Ok()
    if not 400 <= status < 500 or status == 408 or code in _AMBIGUOUS:
        return Ambiguous(said)
    if status in (418, 429) or code in _BACKOFF:
        return Backoff(_banned_until_ms(text), _retry_after_s(headers), said)
    if status in _DENIED_STATUS or code in _DENIED[market]:
        return Denied(said)
    if code in _RESYNC[market]:
        return Resync(said)
    return _of_order(market, code, text, said) if placing else _of_question(code, text, said)


def _of_order(market: Market, code: int | None, text: str, said: str) -> Verdict:
    """A 4xx to an order: only what is known to mean "not accepted" is called so."""
    if market is Market.FUTURES and code == -4116:
        return Duplicate(said)
    if code == -2010 and "duplicate" in text.casefold():
        return Duplicate(said)
    if code in _REJECTED_BY_TEXT:
        return Refused(_reason_in(text), said)
    reason = REJECTED[market].get(code) if code is not None else None
    return (
        Ambiguous(f"{said}, which is not known to mean a rejection")
        if reason is None
        else Refused(reason, said)
    )


def _of_question(code: int | None, text: str, said: str) -> Verdict:
    """A 4xx to a query or a cancel. Without a code it is not the exchange that speaks."""
    if code is None:
        return Ambiguous(said)
    if code == -2013 or (code == -2011 and "unknown order" in text.casefold()):
        return NoSuchOrder(said)
    return Refused("unknown_symbol" if code == -1121 else "venue_rejected", said)


def _reason_in(text: str) -> str:
    """The reason code that a free text stands for."""
    folded = text.casefold()
    return next((reason for phrase, reason in _PHRASES if phrase in folded), "venue_rejected")


def _said(status: int, code: int | None, text: str) -> str:
    """One line of what the exchange said, without control characters and what looks like a secret."""
    # Hidden first and cut afterwards, so that no cut leaves the head of a secret.
    words = _SECRET_LIKE.sub("[hidden]", _CONTROL.sub(" ", text)).strip()[:_TEXT_MAX]
    head = f"HTTP {status}" if code is None else f"HTTP {status} code {code}"
    return f"{head}: {words}" if words else head


def _banned_until_ms(text: str) -> int | None:
    """The end of a ban that stands in the text alone."""
    found = _BANNED_UNTIL.search(text)
    return int(found[1]) if found else None


def _retry_after_s(headers: Mapping[str, str]) -> int | None:
    """Retry-After in seconds; a date or garbage counts as not told."""
    value = headers.get("retry-after", "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else None
