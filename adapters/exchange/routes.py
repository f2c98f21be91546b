"""The routing table: method and path to endpoint, with what it asks for and what it weighs."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.exchange import amending, holdings, market_data, placing, queries
from adapters.exchange.call import Endpoint
from adapters.exchange.terms import MarketName

Routes = Mapping[tuple[str, str], Endpoint]

_RESTRICTIONS = Endpoint("api_restrictions", holdings.api_restrictions, "signed")

_FUTURES: Routes = {
    ("GET", "/fapi/v1/ping"): Endpoint("ping", market_data.ping),
    ("GET", "/fapi/v1/time"): Endpoint("time", market_data.server_time),
    ("GET", "/fapi/v1/exchangeInfo"): Endpoint("exchange_info", market_data.exchange_info),
    ("GET", "/fapi/v1/depth"): Endpoint("depth", market_data.depth, weight=5),
    ("GET", "/fapi/v1/ticker/price"): Endpoint("ticker_price", market_data.ticker_price, weight_all=2),
    ("GET", "/fapi/v2/ticker/price"): Endpoint("ticker_price", market_data.ticker_price, weight_all=2),
    ("GET", "/fapi/v1/ticker/bookTicker"): Endpoint(
        "book_ticker", market_data.book_ticker, weight=2, weight_all=5
    ),
    ("GET", "/fapi/v1/premiumIndex"): Endpoint("mark_price", market_data.mark_price, weight_all=10),
    ("POST", "/fapi/v1/order"): Endpoint(
        "new_order", placing.new_order, "signed", weight=0, places_order=True
    ),
    ("PUT", "/fapi/v1/order"): Endpoint("amend_order", amending.amend_order, "signed", places_order=True),
    ("POST", "/fapi/v1/order/test"): Endpoint("test_order", placing.test_order, "signed"),
    ("GET", "/fapi/v1/order"): Endpoint("query_order", queries.query_order, "signed"),
    ("DELETE", "/fapi/v1/order"): Endpoint("cancel_order", placing.cancel_order, "signed"),
    ("GET", "/fapi/v1/openOrder"): Endpoint("query_order", queries.open_order, "signed"),
    ("GET", "/fapi/v1/openOrders"): Endpoint("open_orders", queries.open_orders, "signed", weight_all=40),
    ("GET", "/fapi/v1/allOrders"): Endpoint("all_orders", queries.all_orders, "signed", weight=5),
    ("GET", "/fapi/v1/userTrades"): Endpoint("trades", queries.trades, "signed", weight=5),
    ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint("cancel_all", placing.cancel_all, "signed"),
    ("POST", "/fapi/v1/countdownCancelAll"): Endpoint("countdown", placing.countdown, "signed", weight=10),
    ("GET", "/fapi/v2/account"): Endpoint("account", holdings.futures_account_v2, "signed", weight=5),
    ("GET", "/fapi/v3/account"): Endpoint("account", holdings.futures_account, "signed", weight=5),
    ("GET", "/fapi/v2/balance"): Endpoint("balance", holdings.futures_balance, "signed", weight=5),
    ("GET", "/fapi/v3/balance"): Endpoint("balance", holdings.futures_balance, "signed", weight=5),
    ("GET", "/fapi/v2/positionRisk"): Endpoint(
        "position_risk", holdings.position_risk_v2, "signed", weight=5
    ),
    ("GET", "/fapi/v3/positionRisk"): Endpoint("position_risk", holdings.position_risk, "signed", weight=5),
    ("GET", "/fapi/v1/positionSide/dual"): Endpoint(
        "position_mode", holdings.position_mode, "signed", weight=30
    ),
    ("POST", "/fapi/v1/positionSide/dual"): Endpoint(
        "set_position_mode", holdings.set_position_mode, "signed"
    ),
    ("GET", "/fapi/v1/multiAssetsMargin"): Endpoint(
        "multi_assets_mode", holdings.multi_assets_mode, "signed", weight=30
    ),
    ("GET", "/fapi/v1/leverageBracket"): Endpoint("leverage_brackets", holdings.leverage_brackets, "signed"),
    ("POST", "/fapi/v1/leverage"): Endpoint("leverage", holdings.set_leverage, "signed"),
    ("POST", "/fapi/v1/listenKey"): Endpoint("listen_key_create", holdings.create_listen_key, "key"),
    ("PUT", "/fapi/v1/listenKey"): Endpoint("listen_key_extend", holdings.extend_listen_key, "key"),
    ("DELETE", "/fapi/v1/listenKey"): Endpoint("listen_key_close", holdings.close_listen_key, "key"),
    ("GET", "/sapi/v1/account/apiRestrictions"): _RESTRICTIONS,
}

_SPOT: Routes = {
    ("GET", "/api/v3/ping"): Endpoint("ping", market_data.ping),
    ("GET", "/api/v3/time"): Endpoint("time", market_data.server_time),
    ("GET", "/api/v3/exchangeInfo"): Endpoint("exchange_info", market_data.exchange_info, weight=20),
    ("GET", "/api/v3/depth"): Endpoint("depth", market_data.depth, weight=5),
    ("GET", "/api/v3/ticker/price"): Endpoint(
        "ticker_price", market_data.ticker_price, weight=2, weight_all=4
    ),
    ("GET", "/api/v3/ticker/bookTicker"): Endpoint(
        "book_ticker", market_data.book_ticker, weight=2, weight_all=4
    ),
    ("POST", "/api/v3/order"): Endpoint("new_order", placing.new_order, "signed", places_order=True),
    ("POST", "/api/v3/order/test"): Endpoint("test_order", placing.test_order, "signed"),
    ("GET", "/api/v3/order"): Endpoint("query_order", queries.query_order, "signed", weight=4),
    ("DELETE", "/api/v3/order"): Endpoint("cancel_order", placing.cancel_order, "signed"),
    ("GET", "/api/v3/openOrders"): Endpoint(
        "open_orders", queries.open_orders, "signed", weight=6, weight_all=80
    ),
    ("DELETE", "/api/v3/openOrders"): Endpoint("cancel_all", placing.cancel_all, "signed"),
    ("GET", "/api/v3/allOrders"): Endpoint("all_orders", queries.all_orders, "signed", weight=20),
    ("GET", "/api/v3/myTrades"): Endpoint("trades", queries.trades, "signed", weight=20),
    ("GET", "/api/v3/account"): Endpoint("account", holdings.spot_account, "signed", weight=20),
    ("GET", "/sapi/v1/account/apiRestrictions"): _RESTRICTIONS,
}

ROUTES: Mapping[MarketName, Routes] = {"futures": _FUTURES, "spot": _SPOT}
