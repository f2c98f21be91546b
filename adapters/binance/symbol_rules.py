"""What exchangeInfo says, read into limits and symbol rules.

Pure. A filter that is missing does not bind; a filter with numbers that make no sense makes the symbol's
rules unreadable, so that nothing is sent by half a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from adapters.binance.market import Market
from adapters.binance.rate_windows import RateLimit, rate_limit
from adapters.binance.wire_exchange_info import FilterReply, SymbolReply
from adapters.binance.wire_exchange_info import RateLimit as RateLimitReply
from adapters.contract import OrderSide
from adapters.filters import TRADING, Band, Notional, SymbolRules
from adapters.grid import Grid, fits

_FILTERS = {
    "PRICE_FILTER",
    "LOT_SIZE",
    "MARKET_LOT_SIZE",
    "MIN_NOTIONAL",
    "NOTIONAL",
    "PERCENT_PRICE",
    "PERCENT_PRICE_BY_SIDE",
}
_ABSENT = FilterReply(filter_type="")
_ZERO = Decimal(0)


def limits_of(replies: Iterable[RateLimitReply]) -> tuple[RateLimit, ...]:
    """The limits that can be counted; kinds that are unknown here are left out."""
    limits = (
        rate_limit(reply.rate_limit_type, reply.interval, reply.interval_num, reply.limit)
        for reply in replies
    )
    return tuple(limit for limit in limits if limit is not None)


def rules_of(market: Market, reply: SymbolReply) -> SymbolRules | None:
    """The rules of one symbol; None when a number in them is negative, endless or absurd."""
    filters = {each.filter_type: each for each in reply.filters if each.filter_type in _FILTERS}
    if not all(_sensible(each) for each in filters.values()):
        return None
    price = filters.get("PRICE_FILTER", _ABSENT)
    trades = reply.is_spot_trading_allowed is not False
    return SymbolRules(
        symbol=reply.symbol,
        status=reply.status if trades or reply.status != TRADING else "SPOT_TRADING_NOT_ALLOWED",
        order_types=reply.order_types,
        times_in_force=reply.time_in_force,
        price=Grid(price.tick_size or _ZERO, price.min_price or _ZERO, price.max_price or _ZERO),
        lot=_lot(filters.get("LOT_SIZE", _ABSENT)),
        market_lot=_lot(filters.get("MARKET_LOT_SIZE", _ABSENT)),
        notional=_notional(market, filters),
        bands=_bands(market, filters),
    )


def _lot(found: FilterReply) -> Grid:
    return Grid(found.step_size or _ZERO, found.min_qty or _ZERO, found.max_qty or _ZERO)


def _notional(market: Market, filters: Mapping[str, FilterReply]) -> Notional:
    """Futures call the minimum `notional`; spot has two filters for it, of which the stricter one binds."""
    old, new = filters.get("MIN_NOTIONAL", _ABSENT), filters.get("NOTIONAL", _ABSENT)
    if market is Market.FUTURES:
        return Notional(minimum=old.notional or old.min_notional or _ZERO, reduce_only_exempt=True)
    binding = old if (old.min_notional or _ZERO) > (new.min_notional or _ZERO) else new
    of_market = binding.apply_to_market if binding is old else binding.apply_min_to_market
    return Notional(
        minimum=binding.min_notional or _ZERO,
        maximum=new.max_notional or _ZERO,
        minimum_of_market=of_market is not False,
        maximum_of_market=new.apply_max_to_market is not False,
    )


def _bands(market: Market, filters: Mapping[str, FilterReply]) -> dict[OrderSide, Band]:
    """Futures bound each side from the dear end alone, spot's PERCENT_PRICE both sides from both ends."""
    by_side = filters.get("PERCENT_PRICE_BY_SIDE")
    if by_side is not None:
        return {
            "buy": Band(by_side.bid_multiplier_down or _ZERO, by_side.bid_multiplier_up or _ZERO),
            "sell": Band(by_side.ask_multiplier_down or _ZERO, by_side.ask_multiplier_up or _ZERO),
        }
    both = filters.get("PERCENT_PRICE", _ABSENT)
    down, up = both.multiplier_down or _ZERO, both.multiplier_up or _ZERO
    if market is Market.FUTURES:
        return {"buy": Band(up=up), "sell": Band(down=down)}
    return {"buy": Band(down, up), "sell": Band(down, up)}


def _sensible(found: FilterReply) -> bool:
    numbers = (getattr(found, name) for name in found.__struct_fields__)
    return all(
        number.is_finite() and number >= 0 and fits(number)
        for number in numbers
        if isinstance(number, Decimal)
    )
