"""What the exchange is set up with: its symbols, its limits, how it fills, and whose keys it knows.

Pure values. The samples are the ones of the documentation; tests and people may hand over others.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

MarketName = Literal["futures", "spot"]
DEFAULT_KEYS: Mapping[str, str] = {"loopback-key": "loopback-secret"}


class SymbolRules(msgspec.Struct, frozen=True):
    """One symbol: filters as `exchangeInfo` tells them, and the price that a feed without one begins with."""

    symbol: str
    tick: Decimal
    step: Decimal
    min_notional: Decimal
    start_price: Decimal
    quote_asset: str = "USDT"
    min_qty: Decimal = Decimal("0.001")
    max_qty: Decimal = Decimal("1000")
    market_max_qty: Decimal = Decimal("120")
    min_price: Decimal = Decimal("0.01")
    max_price: Decimal = Decimal("10000000")
    multiplier_up: Decimal = Decimal("1.0500")
    multiplier_down: Decimal = Decimal("0.9500")
    # More decimals than these are refused (-1111) before tick and step are looked at.
    price_precision: int = 2
    qty_precision: int = 3
    open_orders_max: int = 200
    status: str = "TRADING"

    @property
    def base_asset(self) -> str:
        """What is bought: BTC of BTCUSDT."""
        return self.symbol.removesuffix(self.quote_asset)


class Key(msgspec.Struct, frozen=True):
    """An API key: its secret (HMAC) or public key (Ed25519, PEM), its account and its rights.

    With `allowed_ips` it is good from these addresses alone.
    """

    secret: str
    account: str = "main"
    may_trade: bool = True
    may_withdraw: bool = False
    ip_restricted: bool = True
    allowed_ips: tuple[str, ...] = ()


class RateLimits(msgspec.Struct, frozen=True):
    """Request weight per peer and minute, orders per account; windows are aligned to the clock.

    A peer that sends `ignored_max` more requests after its first 429 is banned (418).
    """

    weight_per_minute: int = 2_400
    orders_per_10_s: int = 300
    orders_per_minute: int | None = 1_200
    orders_per_day: int | None = None
    ignored_max: int = 10
    ban_ms_min: int = 120_000
    ban_ms_max: int = 259_200_000


class FillPolicy(msgspec.Struct, frozen=True):
    """How orders fill: at the book price, half a spread from the feed's, in `parts`, `part_delay_ms` apart.

    `depth_qty` is what the book holds on each side; None: whatever is asked for. `fill_delay_ms` lets
    even a market order work for a while before its first part.
    """

    half_spread_ticks: int = 1
    parts: int = 1
    part_delay_ms: int = 0
    fill_delay_ms: int = 0
    depth_qty: Decimal | None = None
    taker_fee: Decimal = Decimal("0.0005")
    maker_fee: Decimal = Decimal("0.0002")
    leverage: Decimal = Decimal("20")


FUTURES_RULES = (
    SymbolRules(
        symbol="BTCUSDT",
        tick=Decimal("0.10"),
        step=Decimal("0.001"),
        min_notional=Decimal("50"),
        start_price=Decimal("60000.00"),
        min_price=Decimal("261.10"),
        max_price=Decimal("809484"),
    ),
    SymbolRules(
        symbol="ETHUSDT",
        tick=Decimal("0.01"),
        step=Decimal("0.001"),
        min_notional=Decimal("20"),
        start_price=Decimal("3000.00"),
        min_price=Decimal("18.67"),
        max_price=Decimal("306177"),
        max_qty=Decimal("10000"),
        market_max_qty=Decimal("2000"),
    ),
)
SPOT_RULES = (
    SymbolRules(
        symbol="BTCUSDT",
        tick=Decimal("0.01"),
        step=Decimal("0.00001"),
        min_notional=Decimal("5"),
        start_price=Decimal("60000.00"),
        min_qty=Decimal("0.00001"),
        max_qty=Decimal("9000"),
        multiplier_up=Decimal("5"),
        multiplier_down=Decimal("0.2"),
        price_precision=8,
        qty_precision=8,
    ),
    SymbolRules(
        symbol="ETHUSDT",
        tick=Decimal("0.01"),
        step=Decimal("0.0001"),
        min_notional=Decimal("5"),
        start_price=Decimal("3000.00"),
        min_qty=Decimal("0.0001"),
        max_qty=Decimal("9000"),
        market_max_qty=Decimal("2000"),
        multiplier_up=Decimal("5"),
        multiplier_down=Decimal("0.2"),
        price_precision=8,
        qty_precision=8,
    ),
)
FUTURES_LIMITS = RateLimits()
SPOT_LIMITS = RateLimits(
    weight_per_minute=6_000, orders_per_10_s=100, orders_per_minute=None, orders_per_day=200_000
)
FUTURES_BALANCES: Mapping[str, Decimal] = {"USDT": Decimal("10000000")}
SPOT_BALANCES: Mapping[str, Decimal] = {
    "USDT": Decimal("10000000"),
    "BTC": Decimal("100"),
    "ETH": Decimal("1000"),
}
