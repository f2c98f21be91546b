"""exchangeInfo read into rules: what futures and spot call the same thing, and what makes no sense."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from adapters.binance.market import Market
from adapters.binance.rate_windows import RateLimit
from adapters.binance.symbol_rules import limits_of, rules_of
from adapters.binance.wire_exchange_info import ExchangeInfo, SymbolReply, read_exchange_info
from adapters.contract import Reject
from adapters.filters import Aligned, Band, Notional, SymbolRules, Wanted, align
from adapters.grid import Grid

D = Decimal

FUTURES_SYMBOL = {
    "symbol": "BTCUSDT",
    "contractType": "PERPETUAL",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": "50"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ],
    "orderTypes": ["LIMIT", "MARKET", "STOP"],
    "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
}
SPOT_SYMBOL = {
    "symbol": "ETHBTC",
    "status": "TRADING",
    "baseAsset": "ETH",
    "quoteAsset": "BTC",
    "isSpotTradingAllowed": True,
    "orderTypes": ["LIMIT", "MARKET"],
    "filters": [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.00001000",
            "maxPrice": "922327.0",
            "tickSize": "0.00001000",
        },
        {"filterType": "LOT_SIZE", "minQty": "0.00010000", "maxQty": "100000.0", "stepSize": "0.00010000"},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": "3500.1",
            "stepSize": "0.00000000",
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "6",
            "askMultiplierDown": "0.3",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": "0.00010000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
    ],
}
LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
    {"rateLimitType": "SOMETHING_NEW", "interval": "MINUTE", "intervalNum": 1, "limit": 1},
    {"rateLimitType": "ORDERS", "interval": "FORTNIGHT", "intervalNum": 1, "limit": 1},
]


def info_of(*symbols: object) -> ExchangeInfo:
    info = read_exchange_info(json.dumps({"rateLimits": LIMITS, "symbols": symbols}).encode())
    assert info is not None
    return info


def symbol_of(symbol: dict[str, object]) -> SymbolReply:
    return info_of(symbol).symbols[0]


def with_filter(symbol: dict[str, object], **filter_reply: object) -> SymbolReply:
    """The symbol with one filter replaced or added."""
    old = symbol["filters"]
    assert isinstance(old, list)
    kept = [each for each in old if each["filterType"] != filter_reply["filterType"]]
    return symbol_of({**symbol, "filters": [*kept, filter_reply]})


def test_the_rules_of_a_futures_symbol() -> None:
    assert rules_of(Market.FUTURES, symbol_of(FUTURES_SYMBOL)) == SymbolRules(
        symbol="BTCUSDT",
        status="TRADING",
        order_types=("LIMIT", "MARKET", "STOP"),
        times_in_force=("GTC", "IOC", "FOK", "GTX", "GTD"),
        price=Grid(step=D("0.10"), minimum=D("556.80"), maximum=D("4529764")),
        lot=Grid(step=D("0.001"), minimum=D("0.001"), maximum=D("1000")),
        market_lot=Grid(step=D("0.001"), minimum=D("0.001"), maximum=D("120")),
        notional=Notional(minimum=D("50"), reduce_only_exempt=True),
        bands={"buy": Band(up=D("1.0500")), "sell": Band(down=D("0.9500"))},
    )


def test_the_rules_of_a_spot_symbol() -> None:
    rules = rules_of(Market.SPOT, symbol_of(SPOT_SYMBOL))

    assert rules is not None
    assert rules.times_in_force == ()
    assert rules.market_lot == Grid(maximum=D("3500.1"))
    assert rules.notional == Notional(
        minimum=D("0.0001"), maximum=D("9000000"), minimum_of_market=True, maximum_of_market=False
    )
    assert rules.bands == {"buy": Band(D("0.2"), D(5)), "sell": Band(D("0.3"), D(6))}
    assert align(rules, Wanted("buy", "market", "GTC", D("1.23456"), book_price=D("0.05"))) == Aligned(
        D("1.2345"), None, {"price_diff": "0", "qty_diff": "0.00006"}
    )


def test_spots_older_minimum_binds_market_orders_only_where_it_says_so() -> None:
    reply = with_filter(SPOT_SYMBOL, filterType="MIN_NOTIONAL", minNotional="10", applyToMarket=False)
    rules = rules_of(Market.SPOT, reply)
    assert rules is not None

    at_market = align(rules, Wanted("buy", "market", "GTC", D(1), book_price=D("0.05")))
    at_limit = align(rules, Wanted("buy", "limit", "GTC", D(1), price=D("0.05")))

    assert isinstance(at_market, Aligned)
    assert isinstance(at_limit, Reject)
    assert at_limit.code == "min_notional"


def test_spots_older_percent_price_binds_both_sides_from_both_ends() -> None:
    plain = {**SPOT_SYMBOL, "filters": []}
    reply = with_filter(plain, filterType="PERCENT_PRICE", multiplierUp="5", multiplierDown="0.2")
    rules = rules_of(Market.SPOT, reply)

    assert rules is not None
    assert rules.bands == {"buy": Band(D("0.2"), D(5)), "sell": Band(D("0.2"), D(5))}


def test_a_symbol_without_filters_binds_nothing() -> None:
    rules = rules_of(Market.FUTURES, symbol_of({**FUTURES_SYMBOL, "filters": []}))
    assert rules is not None

    result = align(rules, Wanted("buy", "market", "GTC", D("0.00000001"), book_price=D(1)))

    assert result == Aligned(D("0.00000001"), None)


def test_a_spot_symbol_without_spot_trading_does_not_trade() -> None:
    rules = rules_of(Market.SPOT, symbol_of({**SPOT_SYMBOL, "isSpotTradingAllowed": False}))
    assert rules is not None

    result = align(rules, Wanted("buy", "market", "GTC", D(1), book_price=D(1)))

    assert isinstance(result, Reject)
    assert result.code == "symbol_not_trading"


@pytest.mark.parametrize("number", ["-0.001", "1E+35"])
def test_numbers_that_make_no_sense_leave_no_rules(number: str) -> None:
    reply = with_filter(FUTURES_SYMBOL, filterType="LOT_SIZE", minQty="0", maxQty="1", stepSize=number)

    assert rules_of(Market.FUTURES, reply) is None


def test_a_filter_that_is_not_applied_here_may_say_anything() -> None:
    reply = with_filter(FUTURES_SYMBOL, filterType="MAX_POSITION", limit="-1")

    assert rules_of(Market.FUTURES, reply) is not None


def test_limits_carry_their_windows_and_headers_and_unknown_ones_are_left_out() -> None:
    assert limits_of(info_of().rate_limits) == (
        RateLimit("weight", 60_000, 2_400, "x-mbx-used-weight-1m"),
        RateLimit("orders", 10_000, 300, "x-mbx-order-count-10s"),
        RateLimit("orders", 86_400_000, 200_000, "x-mbx-order-count-1d"),
        RateLimit("requests", 300_000, 61_000, None),
    )
