"""What anybody may ask: time, rules, prices, and a small book around them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from adapters.exchange import refusals
from adapters.exchange.call import Answer, Call, Venue
from adapters.exchange.orders import ZERO
from adapters.exchange.refusals import Refusal, mandatory
from adapters.exchange.terms import SymbolRules
from adapters.exchange.words import Json, plain

DEPTH = 20
LEVEL_QTY = Decimal(10)
PERPETUAL_MS = 4_133_404_800_000

_Teller = Callable[[str], Json]


def ping(venue: Venue, call: Call) -> Answer:
    """Nothing."""
    return {}


def server_time(venue: Venue, call: Call) -> Answer:
    """The exchange's clock."""
    return {"serverTime": venue.timeline.now_ms}


def exchange_info(venue: Venue, call: Call) -> Answer | Refusal:
    """All symbols with their filters; futures ignore `symbol`, spot answers for it alone."""
    shown = list(venue.rules.values())
    symbol = call.params.get("symbol")
    if venue.market == "spot" and symbol is not None:
        if symbol not in venue.rules:
            return refusals.INVALID_SYMBOL
        shown = [venue.rules[symbol]]
    tell = _futures_symbol if venue.market == "futures" else _spot_symbol
    reply: Json = {
        "timezone": "UTC",
        "serverTime": venue.timeline.now_ms,
        "rateLimits": venue.limiter.told(),
        "exchangeFilters": [],
        "symbols": [tell(rules) for rules in shown],
    }
    if venue.market == "futures":
        assets = sorted({rules.quote_asset for rules in shown})
        reply["futuresType"] = "U_MARGINED"
        reply["assets"] = [
            {"asset": name, "marginAvailable": True, "autoAssetExchange": "-10000"} for name in assets
        ]
    return reply


def _text(value: Decimal) -> str:
    return f"{value:f}"


def _lot(rules: SymbolRules, name: str, max_qty: Decimal) -> Json:
    return {
        "filterType": name,
        "minQty": _text(rules.min_qty),
        "maxQty": _text(max_qty),
        "stepSize": _text(rules.step),
    }


def _price_filter(rules: SymbolRules) -> Json:
    return {
        "filterType": "PRICE_FILTER",
        "minPrice": _text(rules.min_price),
        "maxPrice": _text(rules.max_price),
        "tickSize": _text(rules.tick),
    }


def _futures_symbol(rules: SymbolRules) -> Json:
    return {
        "symbol": rules.symbol,
        "pair": rules.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": PERPETUAL_MS,
        "onboardDate": 1_569_398_400_000,
        "status": rules.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": rules.base_asset,
        "quoteAsset": rules.quote_asset,
        "marginAsset": rules.quote_asset,
        "pricePrecision": rules.price_precision,
        "quantityPrecision": rules.qty_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": [
            _price_filter(rules),
            _lot(rules, "LOT_SIZE", rules.max_qty),
            _lot(rules, "MARKET_LOT_SIZE", rules.market_max_qty),
            {"filterType": "MAX_NUM_ORDERS", "limit": rules.open_orders_max},
            {"filterType": "MIN_NOTIONAL", "notional": _text(rules.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": _text(rules.multiplier_up),
                "multiplierDown": _text(rules.multiplier_down),
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _spot_symbol(rules: SymbolRules) -> Json:
    up, down = _text(rules.multiplier_up), _text(rules.multiplier_down)
    return {
        "symbol": rules.symbol,
        "status": rules.status,
        "baseAsset": rules.base_asset,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.quote_asset,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            _price_filter(rules),
            _lot(rules, "LOT_SIZE", rules.max_qty),
            _lot(rules, "MARKET_LOT_SIZE", rules.market_max_qty)
            | {"minQty": "0.00000000", "stepSize": "0.00000000"},
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": up,
                "bidMultiplierDown": down,
                "askMultiplierUp": up,
                "askMultiplierDown": down,
                "avgPriceMins": 5,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": _text(rules.min_notional),
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.open_orders_max},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }


def ticker_price(venue: Venue, call: Call) -> Answer | Refusal:
    """The last price, of one symbol or of all."""

    def tell(symbol: str) -> Json:
        price = plain(venue.quotes.middle(symbol), venue.rules[symbol].price_precision)
        return {"symbol": symbol, "price": price, **_time(venue)}

    return _of_one_or_all(venue, call, tell)


def book_ticker(venue: Venue, call: Call) -> Answer | Refusal:
    """The best bid and ask, of one symbol or of all."""

    def tell(symbol: str) -> Json:
        rules, quotes = venue.rules[symbol], venue.quotes
        qty = plain(venue.policy.depth_qty or LEVEL_QTY, rules.qty_precision)
        return {
            "symbol": symbol,
            "bidPrice": plain(quotes.bid(symbol), rules.price_precision),
            "bidQty": qty,
            "askPrice": plain(quotes.ask(symbol), rules.price_precision),
            "askQty": qty,
            **_time(venue),
        }

    return _of_one_or_all(venue, call, tell)


def mark_price(venue: Venue, call: Call) -> Answer | Refusal:
    """premiumIndex: the mark price is the feed's."""

    def tell(symbol: str) -> Json:
        price = plain(venue.quotes.middle(symbol), 8)
        return {
            "symbol": symbol,
            "markPrice": price,
            "indexPrice": price,
            "estimatedSettlePrice": price,
            "lastFundingRate": "0.00010000",
            "interestRate": "0.00010000",
            "nextFundingTime": 0,
            **_time(venue),
        }

    return _of_one_or_all(venue, call, tell)


def depth(venue: Venue, call: Call) -> Answer | Refusal:
    """A book of a few levels, a tick apart."""
    symbol = call.params.get("symbol")
    if symbol is None:
        return mandatory("symbol")
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    rules = venue.rules[symbol]
    levels = range(min(call.number("limit") or DEPTH, DEPTH))
    qty = plain(venue.policy.depth_qty or LEVEL_QTY, rules.qty_precision)

    def side(best: Decimal, step: Decimal) -> list[list[str]]:
        prices = (best + level * step for level in levels)
        return [[plain(price, rules.price_precision), qty] for price in prices if price > ZERO]

    reply: Json = {
        "lastUpdateId": venue.book.next_trade_id,
        "bids": side(venue.quotes.bid(symbol), -rules.tick),
        "asks": side(venue.quotes.ask(symbol), rules.tick),
    }
    if venue.market == "futures":
        reply |= {"E": venue.timeline.now_ms, "T": venue.timeline.now_ms}
    return reply


def _time(venue: Venue) -> Json:
    return {"time": venue.timeline.now_ms} if venue.market == "futures" else {}


def _of_one_or_all(venue: Venue, call: Call, tell: _Teller) -> Answer | Refusal:
    symbol = call.params.get("symbol")
    if symbol is None:
        return [tell(name) for name in venue.rules]
    return tell(symbol) if symbol in venue.rules else refusals.INVALID_SYMBOL
