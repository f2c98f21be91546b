"""What the simulated venue is given in tests: what is wanted, quotes, and the venue itself."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from adapters.contract import Order, OrderCtx, OrderSide
from adapters.costs import CostModel, StaticCosts
from adapters.filters import Notional, SymbolRules
from adapters.grid import Grid
from adapters.paper.quotes import Quote
from adapters.paper.terms import Terms
from adapters.paper.trade_sim import TradeSim

BTC = SymbolRules(
    symbol="BTCUSDT",
    order_types=("LIMIT", "MARKET"),
    times_in_force=("GTC", "IOC", "FOK"),
    price=Grid(step=Decimal("0.10"), minimum=Decimal("0.10"), maximum=Decimal("4529764")),
    lot=Grid(step=Decimal("0.001"), minimum=Decimal("0.001"), maximum=Decimal("1000")),
    market_lot=Grid(step=Decimal("0.001"), minimum=Decimal("0.001"), maximum=Decimal("120")),
    notional=Notional(minimum=Decimal(50)),
)
RULES = {"BTCUSDT": BTC, "ETHUSDT": msgspec.structs.replace(BTC, symbol="ETHUSDT")}
FREE = StaticCosts(slippage_bps=Decimal(0), fee_bps=Decimal(0))
USUAL = StaticCosts(slippage_bps=Decimal("1.0"), fee_bps=Decimal("2.0"))
THOUSAND = Decimal(1_000)
NOW_MS = 1_700_000_000_000


def wanted(number: int = 0, side: OrderSide = "buy", **given: Any) -> OrderCtx:
    """A market order of BTCUSDT, but for what is given."""
    fields: dict[str, Any] = {
        "client_order_id": f"ew1-{number:024d}",
        "symbol": "BTCUSDT",
        "side": side,
        "qty": None,
        "order_type": "market",
        "price": None,
        "tif": "GTC",
        "ts_ms": NOW_MS,
        "event_ts_ms": NOW_MS,
        "signal_id": f"BTCUSDT-{number}",
    }
    return OrderCtx(**(fields | given))


def limit(number: int, side: OrderSide, price: str, **given: Any) -> OrderCtx:
    """A limit order of 1 BTC, good till canceled, but for what is given."""
    fields = {"order_type": "limit", "price": Decimal(price), "qty": Decimal(1)}
    return wanted(number, side, **(fields | given))


def one_price(price: str) -> Quote:
    """A quote of a source that knows no book."""
    return Quote(Decimal(price), Decimal(price), NOW_MS)


def book(bid: str, ask: str) -> Quote:
    """A quote of a book."""
    return Quote(Decimal(bid), Decimal(ask), NOW_MS, is_book=True)


def venue(
    costs: CostModel = FREE, *, rules: Mapping[str, SymbolRules] = RULES, kept: int = 1_000, **terms: Any
) -> TradeSim:
    """A venue without costs that always does as it is told, but for what is given."""
    return TradeSim(Terms(**terms), costs, rules, kept_orders_max=kept)


def prepared(sim: TradeSim, ctx: OrderCtx, quote: Quote) -> Order:
    """An order that the venue has agreed to prepare."""
    order = sim.prepare(ctx, quote, THOUSAND)
    assert isinstance(order, Order), order
    return order
