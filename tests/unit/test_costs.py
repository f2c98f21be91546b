"""Cost models by name: static, by size, by who waits and who takes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.costs import Costs, cost_model
from config import settings

D = Decimal


def model_of(name: str, **given: str) -> settings.Cost:
    return settings.Cost.model_validate({"model": name, **given})


def test_the_defaults_are_one_basis_point_of_slippage_and_a_fee_of_1_93() -> None:
    model = cost_model(settings.Cost())

    assert model.costs(notional=D(100), maker=False) == Costs(D(1), D("1.93"))


@pytest.mark.parametrize("notional", ["0.01", "100", "1000000000"])
def test_static_costs_are_the_same_for_every_order(notional: str) -> None:
    model = cost_model(model_of("static", slippage_bps="2.5", fee_bps="-0.5"))

    assert model.costs(notional=D(notional), maker=False) == Costs(D("2.5"), D("-0.5"))
    assert model.costs(notional=D(notional), maker=True) == Costs(D(0), D("-0.5"))


@pytest.mark.parametrize(
    ("notional", "bps"), [("0", "0"), ("50000", "1.5"), ("100000", "3"), ("1000000", "30"), ("1", "0.00003")]
)
def test_linear_slippage_grows_with_the_value_against_the_depth(notional: str, bps: str) -> None:
    model = cost_model(model_of("linear", slippage_bps="3.0", fee_bps="2.0", depth_usd="100000"))

    costs = model.costs(notional=D(notional), maker=False)

    assert (str(costs.slippage_bps), str(costs.fee_bps)) == (bps, "2")


def test_who_waits_in_the_book_has_no_slippage() -> None:
    for name in settings.CostModel:
        model = cost_model(model_of(name))
        assert model.costs(notional=D(1_000_000), maker=True).slippage_bps == 0


def test_maker_and_taker_pay_fees_of_their_own() -> None:
    model = cost_model(model_of("maker_taker", maker_fee_bps="-1", taker_fee_bps="4", slippage_bps="2"))

    assert model.costs(notional=D(100), maker=True) == Costs(D(0), D(-1))
    assert model.costs(notional=D(100), maker=False) == Costs(D(2), D(4))
