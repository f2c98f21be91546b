"""Cost models: what an order is assumed to lose to the market and to pay as a fee, in basis points.

Pure. Slippage is assumed only where prices say nothing of it; who waits in the book has none.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol, assert_never

import msgspec

from adapters.grid import canonical, product, quotient
from config import settings

_NONE = Decimal(0)


class Costs(msgspec.Struct, frozen=True, gc=False):
    """Of one order, in basis points of its value; a fee below 0 is a rebate."""

    slippage_bps: Decimal
    fee_bps: Decimal


class CostModel(Protocol):
    """What an order of a given value costs."""

    def costs(self, *, notional: Decimal, maker: bool) -> Costs:
        """The costs of an order worth `notional` quote units; `maker`: it waited in the book."""


class StaticCosts:
    """The same costs whatever the order."""

    def __init__(self, *, slippage_bps: Decimal, fee_bps: Decimal) -> None:
        self._taker = Costs(canonical(slippage_bps), canonical(fee_bps))
        self._maker = Costs(_NONE, canonical(fee_bps))

    def costs(self, *, notional: Decimal, maker: bool) -> Costs:
        """The two numbers of the settings; no slippage for a maker."""
        return self._maker if maker else self._taker


class LinearCosts:
    """Slippage grows with the order: one worth `depth_usd` pays `slippage_bps`, half of it half as much."""

    def __init__(self, *, slippage_bps: Decimal, fee_bps: Decimal, depth_usd: Decimal) -> None:
        self._slippage_bps = slippage_bps
        self._fee_bps = canonical(fee_bps)
        self._depth_usd = depth_usd
        self._maker = Costs(_NONE, self._fee_bps)

    def costs(self, *, notional: Decimal, maker: bool) -> Costs:
        """`slippage_bps * notional / depth_usd`, to 18 significant digits; no slippage for a maker."""
        if maker:
            return self._maker
        slippage_bps = canonical(quotient(product(self._slippage_bps, notional), self._depth_usd))
        return Costs(slippage_bps, self._fee_bps)


class MakerTakerCosts:
    """Slippage as static; the fee by who waited in the book and who took from it."""

    def __init__(self, *, slippage_bps: Decimal, maker_fee_bps: Decimal, taker_fee_bps: Decimal) -> None:
        self._taker = Costs(canonical(slippage_bps), canonical(taker_fee_bps))
        self._maker = Costs(_NONE, canonical(maker_fee_bps))

    def costs(self, *, notional: Decimal, maker: bool) -> Costs:
        """The maker's fee and no slippage, or the taker's fee and the assumed slippage."""
        return self._maker if maker else self._taker


def cost_model(cost: settings.Cost) -> CostModel:
    """The model that `execution.cost.model` names."""
    match cost.model:
        case settings.CostModel.STATIC:
            return StaticCosts(slippage_bps=cost.slippage_bps, fee_bps=cost.fee_bps)
        case settings.CostModel.LINEAR:
            return LinearCosts(slippage_bps=cost.slippage_bps, fee_bps=cost.fee_bps, depth_usd=cost.depth_usd)
        case settings.CostModel.MAKER_TAKER:
            return MakerTakerCosts(
                slippage_bps=cost.slippage_bps,
                maker_fee_bps=cost.maker_fee_bps,
                taker_fee_bps=cost.taker_fee_bps,
            )
        case _:
            assert_never(cost.model)
