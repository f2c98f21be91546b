"""USDⓈ-M futures: how orders, trades and user-stream events are put.

Replies to placing and cancelling carry neither avgPrice nor cumQuote (since 2026-06): fills are read from
GET order, userTrades or the stream.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.exchange.accounts import Account
from adapters.exchange.orders import ZERO, LiveOrder, Trade
from adapters.exchange.terms import SymbolRules
from adapters.exchange.words import Json, plain


class FuturesWords:
    """The dialect of `/fapi`."""

    def placed(self, order: LiveOrder, rules: SymbolRules, response_type: str) -> Json:
        """ACK tells of the order as it was accepted, RESULT as it is."""
        is_ack = response_type != "RESULT"
        executed = plain(ZERO if is_ack else order.executed, rules.qty_precision)
        return {
            **self._terms(order, rules),
            "status": "NEW" if is_ack else order.status,
            "executedQty": executed,
            "cumQty": executed,
            "updateTime": order.created_ms if is_ack else order.updated_ms,
        }

    def order(self, order: LiveOrder, rules: SymbolRules) -> Json:
        """The whole order with its fills."""
        return {
            **self._terms(order, rules),
            "status": order.status,
            "executedQty": plain(order.executed, rules.qty_precision),
            "avgPrice": plain(order.average_price, 5),
            "cumQuote": plain(order.quote, rules.price_precision + rules.qty_precision),
            "time": order.created_ms,
            "updateTime": order.updated_ms,
        }

    def canceled(self, order: LiveOrder, rules: SymbolRules) -> Json:
        """The order as it ended; the cancellation has no id of its own here."""
        executed = plain(order.executed, rules.qty_precision)
        return {
            **self._terms(order, rules),
            "status": order.status,
            "executedQty": executed,
            "cumQty": executed,
            "updateTime": order.updated_ms,
        }

    def trade(self, trade: Trade, rules: SymbolRules) -> Json:
        """A row of userTrades."""
        return {
            "symbol": trade.symbol,
            "id": trade.trade_id,
            "orderId": trade.order_id,
            "side": trade.side,
            "positionSide": trade.position_side,
            "price": plain(trade.price, rules.price_precision),
            "qty": plain(trade.qty, rules.qty_precision),
            "quoteQty": plain(trade.price * trade.qty, rules.price_precision + rules.qty_precision),
            "commission": plain(trade.fee, 8),
            "commissionAsset": trade.fee_asset,
            "realizedPnl": plain(trade.realized, 8),
            "marginAsset": rules.quote_asset,
            "buyer": trade.side == "BUY",
            "maker": trade.maker,
            "time": trade.at_ms,
        }

    def order_event(
        self, order: LiveOrder, rules: SymbolRules, execution: str, trade: Trade | None, now_ms: int
    ) -> Json:
        """ORDER_TRADE_UPDATE."""
        terms = order.terms
        inner: Json = {
            "s": terms.symbol,
            "c": terms.client_order_id,
            "S": terms.side,
            "o": terms.type,
            "f": terms.tif,
            "q": plain(terms.qty, rules.qty_precision),
            "p": plain(terms.price or ZERO, rules.price_precision),
            "ap": plain(order.average_price, 5),
            "sp": "0",
            "x": execution,
            "X": order.status,
            "i": order.order_id,
            "l": plain(trade.qty if trade else ZERO, rules.qty_precision),
            "z": plain(order.executed, rules.qty_precision),
            "L": plain(trade.price if trade else ZERO, rules.price_precision),
            "T": trade.at_ms if trade else now_ms,
            "t": trade.trade_id if trade else 0,
            "b": "0",
            "a": "0",
            "m": trade.maker if trade else False,
            "R": terms.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": terms.type,
            "ps": terms.position_side,
            "cp": False,
            "rp": plain(trade.realized if trade else ZERO, 8),
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": "EXPIRE_MAKER",
            "pm": "NONE",
            "gtd": 0,
        }
        if trade:
            inner |= {"N": trade.fee_asset, "n": plain(trade.fee, 8)}
        return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": now_ms, "o": inner}

    def account_event(
        self, account: Account, order: LiveOrder, rules: SymbolRules, locked: dict[str, Decimal], now_ms: int
    ) -> Json:
        """ACCOUNT_UPDATE with the balance and the one position that changed."""
        asset, side = rules.quote_asset, order.terms.position_side
        position = account.position(order.terms.symbol, side)
        wallet = plain(account.balances.get(asset, ZERO), 8)
        return {
            "e": "ACCOUNT_UPDATE",
            "E": now_ms,
            "T": now_ms,
            "a": {
                "m": "ORDER",
                "B": [{"a": asset, "wb": wallet, "cw": wallet, "bc": "0"}],
                "P": [
                    {
                        "s": order.terms.symbol,
                        "pa": plain(position.qty, rules.qty_precision),
                        "ep": plain(position.entry, 5),
                        "bep": plain(position.entry, 5),
                        "cr": "0",
                        "up": "0",
                        "mt": "cross",
                        "iw": "0",
                        "ps": side,
                        "ma": asset,
                    }
                ],
            },
        }

    def _terms(self, order: LiveOrder, rules: SymbolRules) -> Json:
        terms = order.terms
        return {
            "orderId": order.order_id,
            "symbol": terms.symbol,
            "clientOrderId": terms.client_order_id,
            "price": plain(terms.price or ZERO, rules.price_precision),
            "origQty": plain(terms.qty, rules.qty_precision),
            "timeInForce": terms.tif,
            "type": terms.type,
            "origType": terms.type,
            "reduceOnly": terms.reduce_only,
            "closePosition": False,
            "side": terms.side,
            "positionSide": terms.position_side,
            "stopPrice": "0.00",
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "priceMatch": "NONE",
            "selfTradePreventionMode": "EXPIRE_MAKER",
            "goodTillDate": 0,
        }
