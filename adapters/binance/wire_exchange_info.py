"""The reply to exchangeInfo: request and order limits, and each symbol's rules.

Pure. Never raises: garbage is None, and one odd symbol among hundreds spoils no other.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.binance.wire_replies import Reply, decoded


class RateLimit(Reply, frozen=True, rename="camel"):
    """One limit: `limit` per `interval_num` times SECOND, MINUTE, HOUR or DAY."""

    rate_limit_type: str
    interval: str
    interval_num: Annotated[int, Meta(ge=1, le=86_400)]
    limit: Annotated[int, Meta(ge=1, le=2**31)]


class FilterReply(Reply, frozen=True, rename="camel"):
    """One filter of a symbol; which numbers are there depends on `filter_type`."""

    filter_type: str
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    tick_size: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    step_size: Decimal | None = None
    notional: Decimal | None = None
    min_notional: Decimal | None = None
    max_notional: Decimal | None = None
    apply_to_market: bool | None = None
    apply_min_to_market: bool | None = None
    apply_max_to_market: bool | None = None
    avg_price_mins: Decimal | None = None
    multiplier_up: Decimal | None = None
    multiplier_down: Decimal | None = None
    multiplier_decimal: Decimal | None = None
    bid_multiplier_up: Decimal | None = None
    bid_multiplier_down: Decimal | None = None
    ask_multiplier_up: Decimal | None = None
    ask_multiplier_down: Decimal | None = None
    limit: Decimal | None = None
    max_num_orders: Decimal | None = None


class SymbolReply(Reply, frozen=True, rename="camel"):
    """One symbol and its rules. `contract_type` is futures' alone."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: tuple[FilterReply, ...]
    order_types: tuple[str, ...] = ()
    time_in_force: tuple[str, ...] = ()
    contract_type: str | None = None
    is_spot_trading_allowed: bool | None = None


class ExchangeInfo(msgspec.Struct, frozen=True):
    """Limits, and the wanted symbols; `unreadable` names those that cannot be understood."""

    rate_limits: tuple[RateLimit, ...]
    symbols: tuple[SymbolReply, ...]
    unreadable: tuple[str, ...] = ()

    def symbol(self, name: str) -> SymbolReply | None:
        """The rules of one symbol; None when the exchange does not have it or they cannot be read."""
        return next((entry for entry in self.symbols if entry.symbol == name), None)


class _RawExchangeInfo(Reply, frozen=True, rename="camel"):
    rate_limits: tuple[RateLimit, ...]
    symbols: tuple[msgspec.Raw, ...]


class _SymbolName(Reply, frozen=True):
    symbol: str


_exchange_info = msgspec.json.Decoder(_RawExchangeInfo)
_symbol_name = msgspec.json.Decoder(_SymbolName)
_symbol = msgspec.json.Decoder(SymbolReply)


def read_exchange_info(body: bytes, wanted: Collection[str] | None = None) -> ExchangeInfo | None:
    """Limits and the `wanted` symbols (None: all). One odd symbol spoils no other."""
    raw = decoded(_exchange_info, body)
    if raw is None:
        return None
    symbols: list[SymbolReply] = []
    unreadable: list[str] = []
    for entry in raw.symbols:
        name = decoded(_symbol_name, entry)
        if name is None or (wanted is not None and name.symbol not in wanted):
            continue
        symbol = decoded(_symbol, entry)
        if symbol is None:
            unreadable.append(name.symbol)
        else:
            symbols.append(symbol)
    return ExchangeInfo(raw.rate_limits, tuple(symbols), tuple(unreadable))
