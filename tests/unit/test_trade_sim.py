"""The simulated venue takes orders: sized as on the exchange, filled at a price that can be explained."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from rig.paper_orders import (
    FREE,
    NOW_MS,
    RULES,
    THOUSAND,
    USUAL,
    book,
    limit,
    one_price,
    prepared,
    wanted,
)
from rig.paper_orders import venue as made

from adapters.contract import Accepted, Order, OrderSide, OrderUpdate, Reject, Rejected, Unknown
from adapters.costs import LinearCosts, StaticCosts
from adapters.paper.quotes import NoQuote, Quote
from adapters.paper.trade_sim import Outcome, TradeSim

D = Decimal


def code(answer: Order | Reject) -> str:
    assert isinstance(answer, Reject), answer
    assert answer.text
    return answer.code


def filled(outcome: Outcome) -> OrderUpdate:
    assert isinstance(outcome.answer, Accepted), outcome
    update = outcome.later[-1] if outcome.later else outcome.answer.update
    assert update.state == "filled"
    return update


@pytest.mark.parametrize(("side", "at"), [("buy", "50011"), ("sell", "50001")])
def test_a_market_order_is_sized_with_the_price_that_it_meets(side: OrderSide, at: str) -> None:
    order = prepared(made(), wanted(1, side), book("50001", "50011"))

    assert order.qty == (D(1000) / D(at)).quantize(D("0.001"), "ROUND_DOWN")
    assert (order.price, order.intent_price) == (None, D(at))
    assert order.rounding_diff is not None
    assert D(order.rounding_diff["qty_diff"]) > 0


def test_a_signal_with_a_size_or_a_quantity_of_its_own_gets_that() -> None:
    sim, quote = made(), one_price("50000")

    assert prepared(sim, wanted(1, size_usd=D(200)), quote).qty == D("0.004")
    assert prepared(sim, wanted(1, qty=D("0.0079")), quote).qty == D("0.007")


def test_a_limit_order_is_sized_with_the_higher_of_its_price_and_the_one_it_meets() -> None:
    sim, quote = made(), book("50000", "50010")

    low = prepared(sim, limit(1, "buy", "40000.04", qty=None), quote)
    high = prepared(sim, limit(2, "buy", "62500.05", qty=None), quote)

    assert (low.qty, low.price) == (D("0.019"), D(40000))
    assert (high.qty, high.price) == (D("0.015"), D("62500.1"))
    assert high.rounding_diff is not None
    assert high.rounding_diff["price_diff"] == "-0.05"


def test_a_limit_order_without_a_price_takes_the_one_it_meets() -> None:
    order = prepared(made(), wanted(1, "sell", order_type="limit"), book("50000", "50010"))

    assert order.price == D(50000)


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "0", "-0", "-50000"])
def test_a_price_that_is_none_is_refused(price: str) -> None:
    for quote in (one_price(price), book(price, "50000"), book("50000", price)):
        assert code(made().prepare(wanted(), quote, THOUSAND)) == "bad_price"


@pytest.mark.parametrize("reason", ["no_price", "bad_price", "stale_price"])
def test_where_there_is_no_quote_its_reason_is_that_of_the_rejection(reason: Any) -> None:
    answer = made().prepare(wanted(), NoQuote(reason, "why not"), THOUSAND)

    assert answer == Reject(reason, "why not")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"symbol": "DOGEUSDT"}, "no_symbol_rules"),
        ({"size_usd": D("49.99")}, "invalid_quantity"),
        ({"size_usd": D("60"), "qty": None, "price": D(100_000)}, "invalid_quantity"),
        ({"qty": D("0.0009")}, "invalid_quantity"),
        ({"qty": D("120.001")}, "invalid_quantity"),
        ({"qty": D("NaN")}, "invalid_quantity"),
        ({"order_type": "stop"}, "order_type_not_allowed"),
    ],
)
def test_what_the_rules_refuse_is_refused_with_the_reason(given: dict[str, Any], reason: str) -> None:
    quote = one_price("61000") if given.get("size_usd") == D(60) else one_price("50000")

    assert code(made().prepare(wanted(1, **given), quote, THOUSAND)) == reason


def test_an_order_worth_too_little_is_refused_and_not_bumped_up() -> None:
    answer = made().prepare(wanted(1, qty=D("0.001")), one_price("49000"), THOUSAND)

    assert code(answer) == "min_notional"


def test_a_symbol_without_rules_is_told_what_to_set() -> None:
    answer = made(rules={}).prepare(wanted(), one_price("50000"), THOUSAND)

    assert isinstance(answer, Reject)
    assert "execution.paper.rules_file" in answer.text


@pytest.mark.parametrize(("side", "price"), [("buy", "50005"), ("sell", "49995")])
def test_a_single_price_is_moved_against_us_by_the_assumed_slippage(side: OrderSide, price: str) -> None:
    sim, quote = made(USUAL), one_price("50000")
    order = prepared(sim, wanted(1, side, qty=D("0.5")), quote)

    update = filled(sim.place(order, quote, NOW_MS))

    assert update.average_price == D(price)
    assert update.fee == D("0.5") * D(price) * D("0.0002")
    assert update.event_ms == NOW_MS


@pytest.mark.parametrize(("side", "price"), [("buy", "50010"), ("sell", "50000")])
def test_a_book_has_its_spread_and_no_slippage_on_top(side: OrderSide, price: str) -> None:
    sim, quote = made(USUAL), book("50000", "50010")
    order = prepared(sim, wanted(1, side), quote)

    assert filled(sim.place(order, quote, NOW_MS)).average_price == D(price)


def test_linear_slippage_is_that_of_the_orders_value() -> None:
    costs = LinearCosts(slippage_bps=D(10), fee_bps=D(0), depth_usd=D(100_000))
    sim, quote = made(costs), one_price("50000")
    order = prepared(sim, wanted(1, qty=D(1)), quote)

    assert filled(sim.place(order, quote, NOW_MS)).average_price == D("50025.00")


def test_a_limit_order_that_crosses_is_never_filled_at_a_worse_price_than_its_own() -> None:
    sim, quote = made(USUAL), one_price("50000")

    update = filled(sim.place(prepared(sim, limit(1, "buy", "50001"), quote), quote, NOW_MS))

    assert update.average_price == D(50001)


def test_more_slippage_than_is_allowed_is_refused_before_and_at_the_placement() -> None:
    costs = LinearCosts(slippage_bps=D(10), fee_bps=D(0), depth_usd=D(1_000))
    sim, quote = made(costs, slippage_bps_max=D(20)), one_price("50000")
    order = prepared(sim, wanted(1, qty=D("0.04")), quote)
    dearer = msgspec.structs.replace(order, qty=D("0.05"))

    answer = sim.prepare(wanted(2, qty=D("0.05")), quote, THOUSAND)

    assert isinstance(answer, Reject)
    assert answer.code == "slippage_too_wide"
    assert "25 bps, at most 20" in answer.text
    refused = sim.place(dearer, quote, NOW_MS).answer
    assert isinstance(refused, Rejected)
    assert refused.code == "slippage_too_wide"
    assert isinstance(sim.prepare(wanted(2, qty=D(1)), book("50000", "50001"), THOUSAND), Order)


@pytest.mark.parametrize(
    "costs",
    [
        StaticCosts(slippage_bps=D(10_000), fee_bps=D(0)),
        LinearCosts(slippage_bps=D(10_000), fee_bps=D(0), depth_usd=D(1)),
    ],
)
def test_a_seller_never_pays_for_being_rid_of_it(costs: Any) -> None:
    sim = made(costs)

    assert code(sim.prepare(wanted(1, "sell"), one_price("50000"), THOUSAND)) == "slippage_too_wide"


def test_an_order_is_filled_once_however_often_it_comes() -> None:
    for kept in (1_000, 0):
        sim, quote = made(kept=kept), one_price("50000")
        order = prepared(sim, wanted(), quote)
        sim.place(order, quote, NOW_MS)

        again = sim.place(order, quote, NOW_MS + 1)

        assert isinstance(again.answer, Rejected)
        assert again.answer.code == "duplicate_order"
        assert sim.positions["BTCUSDT"].qty == order.qty


def test_a_share_of_the_orders_is_refused_where_that_is_asked_for() -> None:
    sim, quote = made(error_share=0.3), one_price("50000")
    answers = [sim.place(prepared(sim, wanted(number), quote), quote, NOW_MS).answer for number in range(300)]

    refused = [answer for answer in answers if isinstance(answer, Rejected)]
    assert 60 < len(refused) < 120
    assert {answer.code for answer in refused} == {"venue_error"}


def test_of_the_answers_that_get_lost_half_are_of_orders_that_were_taken() -> None:
    sim, quote = made(timeouts={"BTCUSDT": 1.0}), one_price("50000")
    orders = [prepared(sim, wanted(number), quote) for number in range(300)]

    outcomes = [sim.place(order, quote, NOW_MS) for order in orders]

    assert all(isinstance(outcome.answer, Unknown) for outcome in outcomes)
    taken = [order for order in orders if sim.knows(order.client_order_id)]
    assert 110 < len(taken) < 190
    assert [bool(outcome.later) for outcome in outcomes] == [order in taken for order in orders]


def test_an_order_gets_lost_on_its_way_once_and_no_other_symbol_is_touched() -> None:
    sim = made(timeouts={"BTCUSDT": 1.0}, rules=RULES)
    quote = one_price("50000")
    for number in range(20):
        order = prepared(sim, wanted(number), quote)
        if not sim.place(order, quote, NOW_MS).later:
            filled(sim.place(order, quote, NOW_MS))
        filled(sim.place(prepared(sim, wanted(100 + number, symbol="ETHUSDT"), quote), quote, NOW_MS))


def test_some_orders_fill_in_parts_a_few_milliseconds_apart() -> None:
    sim, quote = made(USUAL, partial_share=1.0), one_price("50000")
    order = prepared(sim, wanted(3, qty=D("0.5")), quote)

    outcome = sim.place(order, quote, NOW_MS)

    assert isinstance(outcome.answer, Accepted)
    told = [outcome.answer.update, *outcome.later]
    assert 2 <= len(told) <= 4
    assert [update.state for update in told] == ["partial"] * (len(told) - 1) + ["filled"]
    quantities = [update.filled_qty for update in told]
    assert quantities == sorted(set(quantities))
    assert quantities[-1] == order.qty
    moments = [update.event_ms for update in told]
    assert moments[0] == NOW_MS
    assert all(1 <= later - earlier <= 5 for earlier, later in pairwise(moments))
    known = sim.orders[order.client_order_id]
    assert sum(fill.qty for fill in known.fills()) == order.qty
    assert len({fill.trade_id for fill in known.fills()}) == len(told)


def test_the_latency_is_the_orders_own() -> None:
    sim = made(latency_ms=50, latency_jitter_ms=20)

    found = [sim.latency_ms(f"ew1-{number}") for number in range(200)]

    assert found == [sim.latency_ms(f"ew1-{number}") for number in range(200)]
    assert min(found) == 50
    assert max(found) == 70
    assert made(latency_ms=7).latency_ms("ew1-a") == 7


def test_orders_that_are_over_are_forgotten_in_the_end_but_for_their_ids() -> None:
    sim, quote = made(kept=3), one_price("50000")
    resting = prepared(sim, limit(99, "buy", "40000"), quote)
    sim.place(resting, quote, NOW_MS)

    for number in range(10):
        sim.place(prepared(sim, wanted(number), quote), quote, NOW_MS)

    assert sim.has_forgotten
    assert len(sim.orders) == 4
    assert resting.client_order_id in sim.orders
    assert all(sim.knows(wanted(number).client_order_id) for number in range(10))
    assert sim.positions["BTCUSDT"].fills == 10


def test_a_venue_without_dice_says_what_one_with_dice_that_never_fall_says() -> None:
    plain, diced = made(USUAL), made(USUAL, timeouts={"ETHUSDT": 0.5})
    twins: tuple[TradeSim, TradeSim] = (plain, diced)
    for number in range(6):
        side: OrderSide = "buy" if number % 3 else "sell"
        quote = Quote(D(50000 + number), D(50001 + number), NOW_MS, is_book=number % 2 == 0)
        first, second = (
            sim.place(prepared(sim, wanted(number, side), quote), quote, NOW_MS + number) for sim in twins
        )
        assert first == second

    assert [sim.positions["BTCUSDT"].realised for sim in twins] == [plain.positions["BTCUSDT"].realised] * 2
    assert plain.orders.keys() == diced.orders.keys()
    for key, known in plain.orders.items():
        assert known.past() == diced.orders[key].past()
        assert known.fills() == diced.orders[key].fills()


def test_without_costs_an_order_is_filled_at_the_very_price() -> None:
    sim, quote = made(FREE), one_price("50000.123456789")

    update = filled(sim.place(prepared(sim, wanted(1), quote), quote, NOW_MS))

    assert (str(update.average_price), update.fee) == ("50000.123456789", 0)
