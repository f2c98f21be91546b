"""Accounts: balances, positions and margin (futures), free and locked assets (spot).

Everything follows from the fills, in their order, so that a journal is enough to rebuild it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from adapters.exchange.orders import ZERO, LiveOrder, Terms, Trade
from adapters.exchange.terms import FillPolicy, SymbolRules

# A fee or a profit is kept to eight decimals, as the exchange shows it.
CENT = Decimal("1e-8")


@dataclass(slots=True)
class Position:
    """A futures position: signed quantity (a SHORT side's is negative) and average entry price."""

    qty: Decimal = ZERO
    entry: Decimal = ZERO
    updated_ms: int = 0

    def realize(self, signed_qty: Decimal, price: Decimal) -> Decimal:
        """What a fill would realize: the part of it that closes, against the entry price."""
        if self.qty == 0 or (self.qty > 0) is (signed_qty > 0):
            return ZERO
        closed = min(abs(self.qty), abs(signed_qty))
        return (closed * (price - self.entry) * (1 if self.qty > 0 else -1)).quantize(CENT)

    def apply(self, signed_qty: Decimal, price: Decimal, now_ms: int) -> None:
        """Add a fill; one through zero closes the old position and opens a new one at its price."""
        before = self.qty
        self.qty = before + signed_qty
        self.updated_ms = now_ms
        if before == 0 or (before > 0) is (signed_qty > 0):
            self.entry = (abs(before) * self.entry + abs(signed_qty) * price) / abs(self.qty)
        elif self.qty == 0:
            self.entry = ZERO
        elif (self.qty > 0) is not (before > 0):
            self.entry = price


@dataclass(slots=True)
class Account:
    """One account. `balances` holds the wallet by asset; `hedge` is the two-sided position mode."""

    name: str
    balances: dict[str, Decimal]
    hedge: bool = False
    leverage: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    # How often each symbol's cancel-all countdown was set; only the last one may ring.
    countdowns: dict[str, int] = field(default_factory=dict)

    def position(self, symbol: str, position_side: str) -> Position:
        """The position of a symbol and side, flat where there was none."""
        return self.positions.setdefault((symbol, position_side), Position())

    def settle_futures(self, terms: Terms, trade: Trade) -> None:
        """Apply a fill to position and wallet."""
        position = self.position(terms.symbol, terms.position_side)
        position.apply(terms.sign * trade.qty, trade.price, trade.at_ms)
        wallet = self.balances.get(trade.fee_asset, ZERO)
        self.balances[trade.fee_asset] = wallet + trade.realized - trade.fee

    def settle_spot(self, terms: Terms, rules: SymbolRules, trade: Trade) -> None:
        """Exchange the two assets; the fee is taken from the one that comes in."""
        quote = trade.qty * trade.price
        changes = [(rules.base_asset, terms.sign * trade.qty), (rules.quote_asset, -terms.sign * quote)]
        for asset, change in (*changes, (trade.fee_asset, -trade.fee)):
            self.balances[asset] = self.balances.get(asset, ZERO) + change

    def reducible(self, terms: Terms) -> Decimal:
        """How much of the order would make its position smaller."""
        position = self.positions.get((terms.symbol, terms.position_side))
        held = position.qty if position else ZERO
        return abs(held) if held and (held > 0) is not (terms.sign > 0) else ZERO

    def leverage_of(self, symbol: str, policy: FillPolicy) -> Decimal:
        """The symbol's leverage, as set or as the policy begins."""
        return self.leverage.get(symbol, policy.leverage)


def unrealized(account: Account, price_of: Callable[[str], Decimal]) -> Decimal:
    """What all positions would realize at present prices."""
    return sum(
        (position.qty * (price_of(symbol) - position.entry) for (symbol, _), position in held(account)),
        ZERO,
    )


def held(account: Account) -> list[tuple[tuple[str, str], Position]]:
    """Positions that are not flat, in the order of their names."""
    return sorted((name, position) for name, position in account.positions.items() if position.qty)


def position_margin(account: Account, policy: FillPolicy, price_of: Callable[[str], Decimal]) -> Decimal:
    """Initial margin that the positions bind."""
    return sum(
        (
            abs(position.qty) * price_of(symbol) / account.leverage_of(symbol, policy)
            for (symbol, _), position in held(account)
        ),
        ZERO,
    )


def order_margin(
    account: Account, policy: FillPolicy, orders: Iterable[LiveOrder], price_of: Callable[[str], Decimal]
) -> Decimal:
    """Initial margin that open orders bind; reduce-only ones bind none."""
    return sum(
        (
            order.remaining
            * (order.terms.price or price_of(order.terms.symbol))
            / account.leverage_of(order.terms.symbol, policy)
            for order in orders
            if not order.terms.reduce_only
        ),
        ZERO,
    )


def locked(
    orders: Iterable[LiveOrder], rules: Mapping[str, SymbolRules], price_of: Callable[[str], Decimal]
) -> dict[str, Decimal]:
    """What open spot orders hold back, by asset."""
    amounts: dict[str, Decimal] = {}
    for order in orders:
        symbol = rules[order.terms.symbol]
        if order.terms.side == "BUY":
            asset = symbol.quote_asset
            amount = order.remaining * (order.terms.price or price_of(symbol.symbol))
        else:
            asset, amount = symbol.base_asset, order.remaining
        amounts[asset] = amounts.get(asset, ZERO) + amount
    return amounts
