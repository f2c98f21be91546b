"""What both markets' replies and events have in common: numbers as text, and the protocol of a dialect."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from adapters.exchange.accounts import Account
from adapters.exchange.orders import LiveOrder, Trade
from adapters.exchange.terms import SymbolRules

Json = dict[str, object]


def plain(value: Decimal, places: int) -> str:
    """Decimal text with exactly so many places, never an exponent."""
    return f"{value:.{places}f}"


class Words(Protocol):
    """How one market puts orders, trades and events."""

    def placed(self, order: LiveOrder, rules: SymbolRules, response_type: str) -> Json:
        """The reply to a new order."""

    def order(self, order: LiveOrder, rules: SymbolRules) -> Json:
        """The order as a query shows it."""

    def canceled(self, order: LiveOrder, rules: SymbolRules) -> Json:
        """The reply to a cancellation."""

    def trade(self, trade: Trade, rules: SymbolRules) -> Json:
        """One trade as the trade lists show it."""

    def order_event(
        self, order: LiveOrder, rules: SymbolRules, execution: str, trade: Trade | None, now_ms: int
    ) -> Json:
        """What the user stream says about an order."""

    def account_event(
        self, account: Account, order: LiveOrder, rules: SymbolRules, locked: dict[str, Decimal], now_ms: int
    ) -> Json:
        """What the user stream says about the account after a fill."""


def oldest_first(trades: Iterable[Trade]) -> list[Trade]:
    """Trades in the order of their numbers."""
    return sorted(trades, key=lambda trade: trade.trade_id)
