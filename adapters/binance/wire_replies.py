"""Replies: what the exchange's bodies mean, as typed structs, or None where they mean nothing.

Pure. Garbage is an answer too: no reader raises, whatever the bytes are. Unknown fields are ignored,
what the documents call optional may be missing, and money and quantities are finite decimals.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from adapters.binance.market import Market
from adapters.contract import OrderState

# Longer numbers are garbage, and writing them out in full would cost memory.
_DIGITS_MAX = 40

# It becomes part of a path, and nothing that needs quoting may get there.
_LISTEN_KEY = re.compile(r"[A-Za-z0-9_-]{1,256}")

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

# What a status word means; REJECTED and words that are not here have no state of ours.
STATE_OF_STATUS: dict[str, OrderState] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PENDING_CANCEL": "open",
    "PARTIALLY_FILLED": "partial",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
}


class Reply(msgspec.Struct, frozen=True, rename="camel"):
    """What all replies share: every decimal in them is finite and of sane length."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not is_sane(value):
                raise ValueError(f"{name} is no usable number")


class OrderReply(Reply, frozen=True, rename="camel"):
    """One order: placed, queried, canceled or listed. Only the first three fields are always there.

    A canceled spot order has its own id in `orig_client_order_id`, and the cancel's in `client_order_id`:
    read `our_id`. `cum_quote` is futures', `cummulative_quote_qty` spot's word for price times quantity.
    """

    order_id: Int64
    client_order_id: str
    symbol: str
    status: str | None = None
    side: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    orig_qty: Decimal | None = None
    executed_qty: Decimal | None = None
    price: Decimal | None = None
    avg_price: Decimal | None = None
    cum_quote: Decimal | None = None
    cummulative_quote_qty: Decimal | None = None
    position_side: str | None = None
    reduce_only: bool | None = None
    orig_client_order_id: str | None = None
    time: Int64 | None = None
    update_time: Int64 | None = None
    transact_time: Int64 | None = None

    @property
    def our_id(self) -> str:
        """The id that the order was placed under."""
        return self.orig_client_order_id or self.client_order_id

    @property
    def state(self) -> OrderState | None:
        """Our word for its status; None for REJECTED, an unknown word or none."""
        return STATE_OF_STATUS.get(self.status or "")

    @property
    def quote_qty(self) -> Decimal | None:
        """Price times quantity of all fills; None when not told (spot says -1 for very old orders)."""
        value = self.cum_quote if self.cum_quote is not None else self.cummulative_quote_qty
        return value if value is not None and value >= 0 else None

    @property
    def average_price(self) -> Decimal | None:
        """The average fill price, as told or computed; None before the first fill and where nobody tells."""
        if not self.executed_qty:
            return None
        if self.avg_price:
            return self.avg_price
        return self.quote_qty / self.executed_qty if self.quote_qty else None


class TradeReply(Reply, frozen=True, rename="camel"):
    """One trade of the account; unique by `id` within the symbol. Futures tell a `side`, spot `is_buyer`."""

    id: Int64
    order_id: Int64
    symbol: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: Int64
    quote_qty: Decimal | None = None
    side: str | None = None
    position_side: str | None = None
    is_buyer: bool | None = None


class PositionReply(Reply, frozen=True, rename="camel"):
    """One futures position; `position_amt` is signed, in base units."""

    symbol: str
    position_amt: Decimal
    position_side: str = "BOTH"
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    update_time: Int64 | None = None


class BalanceReply(Reply, frozen=True):
    """One asset: what is free to be used, and all of it."""

    asset: str
    free: Decimal
    total: Decimal


class AccountReply(Reply, frozen=True, rename="camel"):
    """The account; only spot tells what it may do."""

    can_trade: bool | None = None
    can_withdraw: bool | None = None


class PositionModeReply(Reply, frozen=True, rename="camel"):
    """Futures: True in hedge mode, False in one-way mode."""

    dual_side_position: bool


class RestrictionsReply(Reply, frozen=True, rename="camel"):
    """What an API key may do."""

    enable_reading: bool
    enable_withdrawals: bool
    enable_futures: bool = False
    enable_spot_and_margin_trading: bool = False
    ip_restrict: bool = False
    enable_internal_transfer: bool = False
    permits_universal_transfer: bool = False


class BookTicker(Reply, frozen=True, rename="camel"):
    """Best bid and ask; a side without orders has price 0. Spot tells no time."""

    symbol: str
    bid_price: Decimal
    ask_price: Decimal
    bid_qty: Decimal | None = None
    ask_qty: Decimal | None = None
    time: Int64 | None = None


class ErrorReply(Reply, frozen=True):
    """The exchange's word on what it did not do; some 503 bodies have no code."""

    code: Int64 | None = None
    msg: str = ""


class _Time(Reply, frozen=True, rename="camel"):
    server_time: Int64


class _ListenKey(Reply, frozen=True, rename="camel"):
    listen_key: str

    def __repr__(self) -> str:
        return "_ListenKey(hidden)"


class _FuturesBalance(Reply, frozen=True, rename="camel"):
    asset: str
    balance: Decimal
    available_balance: Decimal


class _SpotBalance(Reply, frozen=True):
    asset: str
    free: Decimal
    locked: Decimal


class _SpotAccount(Reply, frozen=True):
    balances: tuple[_SpotBalance, ...]


T = TypeVar("T")

_order = msgspec.json.Decoder(OrderReply)
_orders = msgspec.json.Decoder(tuple[OrderReply, ...])
_trades = msgspec.json.Decoder(tuple[TradeReply, ...])
_positions = msgspec.json.Decoder(tuple[PositionReply, ...])
_account = msgspec.json.Decoder(AccountReply)
_position_mode = msgspec.json.Decoder(PositionModeReply)
_restrictions = msgspec.json.Decoder(RestrictionsReply)
_book_ticker = msgspec.json.Decoder(BookTicker)
_book_tickers = msgspec.json.Decoder(tuple[BookTicker, ...])
_error = msgspec.json.Decoder(ErrorReply)
_time = msgspec.json.Decoder(_Time)
_listen_key = msgspec.json.Decoder(_ListenKey)
_futures_balances = msgspec.json.Decoder(tuple[_FuturesBalance, ...])
_spot_account = msgspec.json.Decoder(_SpotAccount)


def is_sane(value: Decimal) -> bool:
    """Whether a number is finite and can be written out without an exponent in few digits."""
    return value.is_finite() and abs(value.adjusted()) <= _DIGITS_MAX and len(str(value)) <= 2 * _DIGITS_MAX


def decoded(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T | None:
    """What `decoder` makes of `body`; None for anything it cannot read. Never raises."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def read_order(body: bytes) -> OrderReply | None:
    """A placed, queried or canceled order."""
    return decoded(_order, body)


def read_orders(body: bytes) -> tuple[OrderReply, ...] | None:
    """Open orders, or a page of the order history."""
    return decoded(_orders, body)


def read_trades(body: bytes) -> tuple[TradeReply, ...] | None:
    """A page of the account's trades."""
    return decoded(_trades, body)


def read_positions(body: bytes) -> tuple[PositionReply, ...] | None:
    """Futures positions; a symbol that is not there has none."""
    return decoded(_positions, body)


def read_balances(market: Market, body: bytes) -> tuple[BalanceReply, ...] | None:
    """The reply to `wire.balance`, of either market."""
    if market is Market.SPOT:
        spot = decoded(_spot_account, body)
        if spot is None:
            return None
        return tuple(BalanceReply(one.asset, one.free, one.free + one.locked) for one in spot.balances)
    futures = decoded(_futures_balances, body)
    if futures is None:
        return None
    return tuple(BalanceReply(one.asset, one.available_balance, one.balance) for one in futures)


def read_account(body: bytes) -> AccountReply | None:
    """What the account may do."""
    return decoded(_account, body)


def read_position_mode(body: bytes) -> PositionModeReply | None:
    """One-way or hedge mode."""
    return decoded(_position_mode, body)


def read_restrictions(body: bytes) -> RestrictionsReply | None:
    """What the API key may do."""
    return decoded(_restrictions, body)


def read_book_ticker(body: bytes) -> BookTicker | None:
    """The reply for one symbol."""
    return decoded(_book_ticker, body)


def read_book_tickers(body: bytes) -> tuple[BookTicker, ...] | None:
    """The reply for all symbols."""
    return decoded(_book_tickers, body)


def read_error(body: bytes) -> ErrorReply | None:
    """An error body; None for HTML, arrays and other things that are none."""
    return decoded(_error, body)


def read_server_time(body: bytes) -> int | None:
    """The exchange's clock in epoch milliseconds."""
    reply = decoded(_time, body)
    return None if reply is None else reply.server_time


def read_listen_key(body: bytes) -> str | None:
    """The key of the user stream: whoever knows it reads the account's orders, so it is not for logs."""
    reply = decoded(_listen_key, body)
    return reply.listen_key if reply is not None and _LISTEN_KEY.fullmatch(reply.listen_key) else None
