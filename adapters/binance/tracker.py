"""What becomes of one order: stream events, queries and trades merged into cumulative updates.

Pure. Facts may come twice, late, in any order and from several places; what is told in the end is the same. A
quantity is only told once the trades that make it up are known, so its average price and fee are exact, and
the final word waits until the trades add up to what the exchange says was executed.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Literal

import msgspec

from adapters.binance.facts import FINAL_STATUSES, OrderFact, TradeFact
from adapters.contract import OrderState, OrderUpdate

# Sums and products of quantities and prices stay exact; only the average is rounded, to the second number.
EXACT_DIGITS = 200
AVERAGE_DIGITS = 28

_FINAL_STATES: dict[str, Literal["filled", "canceled", "expired"]] = {
    "FILLED": "filled",
    "CANCELED": "canceled",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
    "REJECTED": "canceled",
}
_REASONS = {
    "EXPIRED_IN_MATCH": "expired: it would have traded with an order of the same account",
    "REJECTED": "rejected by the exchange after it was taken",
}


class Tally(msgspec.Struct, frozen=True):
    """What a set of trades adds up to; `fee` is None when several assets were charged."""

    qty: Decimal
    average_price: Decimal | None
    fee: Decimal | None
    fees: tuple[tuple[str, Decimal], ...]
    last_ms: int | None


def tally(trades: list[TradeFact]) -> Tally:
    """Add up trades of distinct ids; the result does not depend on their order."""
    with localcontext(Context(prec=EXACT_DIGITS)):
        qty = sum((trade.qty for trade in trades), Decimal(0))
        value = sum((trade.qty * trade.price for trade in trades), Decimal(0))
        fees: dict[str, Decimal] = {}
        for trade in trades:
            fees[trade.fee_asset] = fees.get(trade.fee_asset, Decimal(0)) + trade.fee
    charged = tuple((asset, fees[asset]) for asset in sorted(fees) if fees[asset] or len(fees) == 1)
    times = [trade.at_ms for trade in trades if trade.at_ms is not None]
    return Tally(
        qty=qty,
        average_price=Context(prec=AVERAGE_DIGITS).divide(value, qty) if qty else None,
        fee=charged[0][1] if len(charged) == 1 else (Decimal(0) if not charged else None),
        fees=charged,
        last_ms=max(times, default=None),
    )


NOTHING = tally([])


class OrderTracker:
    """One order of the exchange, by its order id. Facts go in, updates that say something new come out."""

    def __init__(self, client_order_id: str, order_id: int, symbol: str, *, note: str | None = None) -> None:
        self.client_order_id = client_order_id
        self.order_id = order_id
        self.symbol = symbol
        self._note = note
        self._status: str | None = None
        self._executed = Decimal(0)
        self._ended_ms: int | None = None
        self._latest: OrderFact | None = None
        self._seen = False
        self._trades: dict[int, TradeFact] = {}
        self._sums = NOTHING
        self._told: OrderUpdate | None = None

    @property
    def latest(self) -> OrderFact | None:
        """The order with its terms as shown at its furthest; None when only trades were seen."""
        return self._latest

    @property
    def final(self) -> bool:
        """True when the order has ended and its trades add up: nothing more is expected."""
        return self._status is not None and not self.needs_trades

    @property
    def needs_trades(self) -> bool:
        """True when more was executed than the known trades add up to."""
        return self._sums.qty < self._executed

    def learn(self, fact: OrderFact) -> bool:
        """Take in what was said of the order; False when it says nothing new."""
        assert fact.order_id == self.order_id, "one tracker, one order"
        before = (self._seen, self._status, self._executed)
        self._seen = True
        latest = self._latest
        if latest is None or (fact.final, fact.executed_qty) > (latest.final, latest.executed_qty):
            self._latest = fact
        self._executed = max(self._executed, fact.executed_qty)
        if fact.final:
            self._end(fact)
        return (self._seen, self._status, self._executed) != before

    def learn_trade(self, trade: TradeFact) -> bool:
        """Take in one trade; False when it is known already."""
        assert trade.order_id == self.order_id, "one tracker, one order"
        if trade.trade_id in self._trades or trade.qty <= 0:
            return False
        self._seen = True
        self._trades[trade.trade_id] = trade
        self._sums = tally(list(self._trades.values()))
        return True

    def update(self) -> OrderUpdate | None:
        """What there is to tell since the last call, cumulative; None when nothing is new."""
        current = self.current()
        if current is None or (self._told is not None and _same_news(current, self._told)):
            return None
        self._told = current
        return current

    def tell_again(self) -> None:
        """Let the next `update` tell what was told before: somebody new listens."""
        self._told = None

    def current(self) -> OrderUpdate | None:
        """The present word, told before or not; None before anything was said of the order."""
        if not self._seen:
            return None
        sums = self._sums
        state: OrderState = "partial" if sums.qty else "open"
        if self._status is not None and sums.qty >= self._executed:
            state = _FINAL_STATES[self._status]
        return OrderUpdate(
            client_order_id=self.client_order_id,
            state=state,
            filled_qty=sums.qty,
            average_price=sums.average_price,
            exchange_order_id=str(self.order_id),
            event_ms=_latest(sums.last_ms, self._ended_ms if state in ("canceled", "expired") else None),
            fee=sums.fee if sums.qty else None,
            reason=self._reason(state, sums),
            symbol=self.symbol,
        )

    def _end(self, fact: OrderFact) -> None:
        rank = FINAL_STATUSES.index
        if self._status is None or rank(fact.status) < rank(self._status):
            self._status = fact.status
        if fact.at_ms is not None:
            self._ended_ms = fact.at_ms if self._ended_ms is None else min(self._ended_ms, fact.at_ms)

    def _reason(self, state: OrderState, sums: Tally) -> str | None:
        parts = [self._note] if self._note else []
        if self._status in _REASONS and state in ("canceled", "expired"):
            parts.append(_REASONS[self._status])
        # The fee is a bare number in the update: say whenever it is not in the symbol's own quote asset.
        if any(not self.symbol.endswith(asset) for asset, _ in sums.fees):
            parts.append("fees " + " + ".join(f"{fee:f} {asset}" for asset, fee in sums.fees))
        return "; ".join(parts) or None


def _same_news(update: OrderUpdate, told: OrderUpdate) -> bool:
    """True when nothing but the time differs: several places date one event by different clocks."""
    return msgspec.structs.replace(update, event_ms=told.event_ms) == told


def _latest(*times: int | None) -> int | None:
    return max((at_ms for at_ms in times if at_ms is not None), default=None)
