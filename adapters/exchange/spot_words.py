"""Spot: how orders, trades and user-stream events are put."""

from __future__ import annotations

from decimal import Decimal

from adapters.exchange.accounts import Account
from adapters.exchange.orders import ZERO, LiveOrder, Trade
from adapters.exchange.terms import SymbolRules
from adapters.exchange.words import Json, plain

PLACES = 8


class SpotWords:
    """The dialect of `/api/v3`."""

    def placed(self, order: LiveOrder, rules: SymbolRules, response_type: str) -> Json:
        """ACK, RESULT or FULL; the latter with the fills of the first moment."""
        reply: Json = {
            "symbol": order.terms.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "clientOrderId": order.terms.client_order_id,
            "transactTime": order.created_ms,
        }
        if response_type == "ACK":
            return reply
        reply |= self._state(order) | {"workingTime": order.created_ms}
        if response_type == "FULL":
            reply["fills"] = [
                {
                    "price": plain(trade.price, PLACES),
                    "qty": plain(trade.qty, PLACES),
                    "commission": plain(trade.fee, PLACES),
                    "commissionAsset": trade.fee_asset,
                    "tradeId": trade.trade_id,
                }
                for trade in order.trades
            ]
        return reply

    def order(self, order: LiveOrder, rules: SymbolRules) -> Json:
        """The whole order."""
        return {
            "symbol": order.terms.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "clientOrderId": order.terms.client_order_id,
            **self._state(order),
            "stopPrice": "0.00000000",
            "icebergQty": "0.00000000",
            "time": order.created_ms,
            "updateTime": order.updated_ms,
            "isWorking": True,
            "workingTime": order.created_ms,
            "origQuoteOrderQty": "0.00000000",
        }

    def canceled(self, order: LiveOrder, rules: SymbolRules) -> Json:
        """The order as it ended, under the cancellation's own id."""
        return {
            "symbol": order.terms.symbol,
            "origClientOrderId": order.terms.client_order_id,
            "orderId": order.order_id,
            "orderListId": -1,
            "clientOrderId": order.cancel_id,
            "transactTime": order.updated_ms,
            **self._state(order),
        }

    def trade(self, trade: Trade, rules: SymbolRules) -> Json:
        """A row of myTrades."""
        return {
            "symbol": trade.symbol,
            "id": trade.trade_id,
            "orderId": trade.order_id,
            "orderListId": -1,
            "price": plain(trade.price, PLACES),
            "qty": plain(trade.qty, PLACES),
            "quoteQty": plain(trade.price * trade.qty, PLACES),
            "commission": plain(trade.fee, PLACES),
            "commissionAsset": trade.fee_asset,
            "time": trade.at_ms,
            "isBuyer": trade.side == "BUY",
            "isMaker": trade.maker,
            "isBestMatch": True,
        }

    def order_event(
        self, order: LiveOrder, rules: SymbolRules, execution: str, trade: Trade | None, now_ms: int
    ) -> Json:
        """executionReport; a canceled order's own id stands in `C` then, and `c` is the cancellation's."""
        terms = order.terms
        is_cancel = execution == "CANCELED"
        return {
            "e": "executionReport",
            "E": now_ms,
            "s": terms.symbol,
            "c": order.cancel_id if is_cancel else terms.client_order_id,
            "S": terms.side,
            "o": terms.type,
            "f": terms.tif,
            "q": plain(terms.qty, PLACES),
            "p": plain(terms.price or ZERO, PLACES),
            "P": "0.00000000",
            "F": "0.00000000",
            "g": -1,
            "C": terms.client_order_id if is_cancel else "",
            "x": execution,
            "X": order.status,
            "r": "NONE",
            "i": order.order_id,
            "l": plain(trade.qty if trade else ZERO, PLACES),
            "z": plain(order.executed, PLACES),
            "L": plain(trade.price if trade else ZERO, PLACES),
            "n": plain(trade.fee if trade else ZERO, PLACES),
            "N": trade.fee_asset if trade else None,
            "T": trade.at_ms if trade else now_ms,
            "t": trade.trade_id if trade else -1,
            "w": order.is_open,
            "m": trade.maker if trade else False,
            "M": False,
            "O": order.created_ms,
            "Z": plain(order.quote, PLACES),
            "Y": plain(trade.qty * trade.price if trade else ZERO, PLACES),
            "Q": "0.00000000",
            "W": order.created_ms,
            "V": "EXPIRE_MAKER",
        }

    def account_event(
        self, account: Account, order: LiveOrder, rules: SymbolRules, locked: dict[str, Decimal], now_ms: int
    ) -> Json:
        """outboundAccountPosition with the two assets that changed."""
        return {
            "e": "outboundAccountPosition",
            "E": now_ms,
            "u": now_ms,
            "B": [
                {
                    "a": asset,
                    "f": plain(account.balances.get(asset, ZERO) - locked.get(asset, ZERO), PLACES),
                    "l": plain(locked.get(asset, ZERO), PLACES),
                }
                for asset in (rules.base_asset, rules.quote_asset)
            ],
        }

    def _state(self, order: LiveOrder) -> Json:
        terms = order.terms
        return {
            "price": plain(terms.price or ZERO, PLACES),
            "origQty": plain(terms.qty, PLACES),
            "executedQty": plain(order.executed, PLACES),
            "cummulativeQuoteQty": plain(order.quote, PLACES),
            "status": order.status,
            "timeInForce": terms.tif,
            "type": terms.type,
            "side": terms.side,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        }
