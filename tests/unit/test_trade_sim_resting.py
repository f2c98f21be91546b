"""Limit orders at the simulated venue: what rests, what must fill at once, what is changed and canceled."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rig.paper_orders import NOW_MS, book, limit, one_price, prepared, wanted
from rig.paper_orders import venue as made

from adapters.contract import Accepted, OrderSide, OrderUpdate
from adapters.costs import MakerTakerCosts
from adapters.paper.facts import Amended, Fact, Filled, Part, Placed
from adapters.paper.quotes import Quote
from adapters.paper.trade_sim import TradeSim
from adapters.paper.venue_orders import VenueOrder, contradiction, quote_asset

D = Decimal
FEES = MakerTakerCosts(slippage_bps=D(0), maker_fee_bps=D(1), taker_fee_bps=D(5))
FAR = one_price("50000")
RESTING = "ew1-000000000000000000000001"


def placed(sim: TradeSim, number: int, side: OrderSide, price: str, **given: object) -> OrderUpdate:
    order = prepared(sim, limit(number, side, price, **given), FAR)
    outcome = sim.place(order, FAR, NOW_MS)
    assert isinstance(outcome.answer, Accepted), outcome
    return outcome.answer.update


@pytest.mark.parametrize(("side", "price"), [("buy", "49000"), ("sell", "51000")])
def test_an_order_that_does_not_cross_rests_and_moves_nothing(side: OrderSide, price: str) -> None:
    sim = made(FEES)

    update = placed(sim, 1, side, price)

    assert (update.state, update.filled_qty, update.average_price) == ("open", D(0), None)
    assert [known.order.client_order_id for known in sim.working("BTCUSDT")] == [RESTING]
    assert sim.positions == {}


@pytest.mark.parametrize(
    ("side", "price", "missing", "crossing"),
    [
        ("buy", "49000", book("48990", "49000.1"), book("48900", "48950")),
        ("sell", "51000", book("50999.9", "51010"), book("51050", "51100")),
    ],
)
def test_a_later_price_fills_what_rests_at_its_own_price_and_the_makers_fee(
    side: OrderSide, price: str, missing: Quote, crossing: Quote
) -> None:
    sim = made(FEES)
    placed(sim, 1, side, price)

    assert sim.look("BTCUSDT", missing, NOW_MS + 1) == ()
    (update,) = sim.look("BTCUSDT", crossing, NOW_MS + 2)

    assert (update.state, update.filled_qty, update.average_price) == ("filled", D(1), D(price))
    assert (update.fee, update.event_ms) == (D(price) * D("0.0001"), NOW_MS + 2)
    assert sim.symbols_working == ()
    assert sim.look("BTCUSDT", crossing, NOW_MS + 3) == ()


def test_an_order_that_crosses_when_it_comes_pays_the_takers_fee() -> None:
    update = placed(made(FEES), 1, "buy", "50000")

    assert (update.state, update.fee) == ("filled", D(25))


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
def test_what_must_fill_at_once_and_does_not_has_expired_with_the_reason(tif: str) -> None:
    sim = made(FEES)

    missed = placed(sim, 1, "buy", "49000", tif=tif)
    met = placed(sim, 2, "buy", "50000", tif=tif)

    assert (missed.state, missed.reason, missed.filled_qty) == ("expired", "no_fill_after_retries", D(0))
    assert met.state == "filled"
    assert sim.symbols_working == ()


def test_what_rests_may_fill_in_parts_too() -> None:
    sim = made(FEES, partial_share=1.0)
    placed(sim, 1, "buy", "49000")

    told = sim.look("BTCUSDT", one_price("48000"), NOW_MS + 9)

    assert 2 <= len(told) <= 4
    assert [update.state for update in told][-1] == "filled"
    assert told[-1].filled_qty == D(1)
    assert sum((fill.fee for fill in sim.orders[RESTING].fills()), D(0)) == told[-1].fee


def test_several_orders_fill_on_one_look_in_the_order_of_time() -> None:
    sim = made(FEES, partial_share=0.5)
    for number in range(8):
        placed(sim, number, "buy", f"{49000 + number}")

    told = sim.look("BTCUSDT", one_price("49004"), NOW_MS)

    moments = [update.event_ms or 0 for update in told]
    assert moments == sorted(moments)
    assert len(sim.working("BTCUSDT")) == 4
    assert sim.positions["BTCUSDT"].qty == 4


def test_a_canceled_order_works_no_more_and_may_be_canceled_again() -> None:
    sim = made(FEES)
    placed(sim, 1, "buy", "49000")

    first, second = sim.cancel(RESTING, NOW_MS + 1), sim.cancel(RESTING, NOW_MS + 2)

    assert first.done
    assert second.done
    assert "canceled already" in second.text
    assert sim.look("BTCUSDT", one_price("1"), NOW_MS + 3) == ()
    update = sim.orders[RESTING].update()
    assert (update.state, update.event_ms) == ("canceled", NOW_MS + 1)
    assert not sim.cancel("ew1-nothing", NOW_MS).done


def test_an_amended_order_fills_at_its_new_price_and_quantity() -> None:
    sim = made(FEES)
    placed(sim, 1, "buy", "49000")

    assert sim.amend(RESTING, D("0.5"), D(48000), NOW_MS + 1).done

    assert sim.look("BTCUSDT", one_price("48500"), NOW_MS + 2) == ()
    (update,) = sim.look("BTCUSDT", one_price("47000"), NOW_MS + 3)
    assert (update.state, update.filled_qty, update.average_price) == ("filled", D("0.5"), D(48000))
    past = sim.orders[RESTING].past()
    assert (past.qty, past.price) == (D("0.5"), D(48000))


@pytest.mark.parametrize(
    ("qty", "price", "why"),
    [
        ("0.0005", "49000", "quantities"),
        ("0.5005", "49000", "grid"),
        ("0.5", "49000.05", "grid"),
        ("0.5", "0", "price"),
        ("0.001", "49000", "worth"),
    ],
)
def test_a_change_that_the_rules_refuse_changes_nothing(qty: str, price: str, why: str) -> None:
    sim = made(FEES)
    placed(sim, 1, "buy", "49000")

    answer = sim.amend(RESTING, D(qty), D(price), NOW_MS)

    assert not answer.done
    assert why in answer.text
    assert (sim.orders[RESTING].qty, sim.orders[RESTING].price) == (D(1), D(49000))


def test_what_is_over_or_was_never_there_cannot_be_changed() -> None:
    sim = made(FEES)
    order = prepared(sim, wanted(5), FAR)
    sim.place(order, FAR, NOW_MS)

    assert "filled already" in sim.amend(order.client_order_id, D(1), D(1), NOW_MS).text
    assert "no order" in sim.amend("ew1-nothing", D(1), D(1), NOW_MS).text


def test_an_order_that_is_half_filled_keeps_what_it_has() -> None:
    sim = made(FEES)
    placed(sim, 1, "buy", "49000")
    sim.apply(Filled(RESTING, (Part(NOW_MS, D("0.4"), D(49000), D(0), maker=True),)))

    low = sim.amend(RESTING, D("0.4"), D(49000), NOW_MS)
    assert not low.done
    assert "0.4 of it are filled" in low.text
    assert sim.amend(RESTING, D("0.6"), D(48000), NOW_MS).done
    (update,) = sim.look("BTCUSDT", one_price("47000"), NOW_MS)
    assert (update.state, update.filled_qty) == ("filled", D("0.6"))
    assert update.average_price == D("48666.6666666666666")
    canceled = made(FEES)
    placed(canceled, 1, "buy", "49000")
    canceled.apply(Filled(RESTING, (Part(NOW_MS, D("0.4"), D(49000), D(3), maker=True),)))
    assert canceled.cancel(RESTING, NOW_MS + 5).done
    end = canceled.orders[RESTING].update()
    assert (end.state, end.filled_qty, end.fee) == ("canceled", D("0.4"), D(3))


def test_facts_that_cannot_be_true_are_told_from_those_that_can() -> None:
    sim = made(FEES)
    order = prepared(sim, limit(1, "buy", "49000"), FAR)
    fact = Placed(1, NOW_MS, order)
    half = Filled(RESTING, (Part(NOW_MS, D("0.5"), D(49000), D(0), maker=True),))
    resting, over = VenueOrder(1, NOW_MS, order), VenueOrder(1, NOW_MS, order)
    over.fill((Part(NOW_MS, D(1), D(1), D(0), maker=True),))
    resting.fill(half.parts)
    part = half.parts[0]

    def wrong(fact: Fact, known: VenueOrder | None) -> bool:
        return contradiction(fact, known) is not None

    assert not wrong(fact, None)
    assert not wrong(half, resting)
    assert wrong(fact, resting)
    assert wrong(half, None)
    assert wrong(half, over)
    assert wrong(Filled(RESTING, (part, part)), resting)
    assert wrong(Placed(2, NOW_MS, order, (part, part, part)), None)
    assert wrong(Filled(RESTING, (Part(NOW_MS, D(0), D(1), D(0), maker=True),)), resting)
    assert wrong(Amended(RESTING, NOW_MS, D("0.5"), D(1)), resting)


def test_the_quote_asset_is_the_end_of_a_symbols_name() -> None:
    assert [quote_asset(name) for name in ("BTCUSDT", "ETHBTC", "USDT", "XYZ")] == [
        "USDT",
        "BTC",
        "QUOTE",
        "QUOTE",
    ]
