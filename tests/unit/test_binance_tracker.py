"""Outcome tracking: whatever comes twice, late or not at all, one order is told to one end, exactly."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance.facts import OrderFact, TradeFact, difference
from adapters.binance.tracker import OrderTracker, tally
from adapters.contract import Order, OrderUpdate

ORDER = Order(
    client_order_id="ew1-a",
    symbol="BTCUSDT",
    side="buy",
    order_type="limit",
    tif="GTC",
    qty=Decimal("0.010"),
    price=Decimal("60000.0"),
    signal_id="s1",
)


def fact(status: str, executed: str | Decimal = "0", **changes: object) -> OrderFact:
    base = OrderFact(
        client_order_id="ew1-a",
        order_id=7,
        symbol="BTCUSDT",
        side="BUY",
        order_type="LIMIT",
        qty=Decimal("0.01"),
        price=Decimal("60000"),
        status=status,
        executed_qty=Decimal(executed),
        at_ms=5_000,
    )
    return msgspec.structs.replace(base, **changes)


def trade(
    trade_id: int, qty: str, price: str = "60000", fee: str = "0.1", asset: str = "USDT", at_ms: int = 4_000
) -> TradeFact:
    return TradeFact(trade_id, 7, Decimal(qty), Decimal(price), Decimal(fee), asset, at_ms)


def fresh_tracker() -> OrderTracker:
    return OrderTracker("ew1-a", 7, "BTCUSDT")


def test_an_order_of_which_nothing_was_said_is_nothing_to_tell() -> None:
    assert fresh_tracker().update() is None


def test_a_new_order_is_told_once_as_open() -> None:
    tracker = fresh_tracker()
    tracker.learn(fact("NEW"))

    first, second = tracker.update(), tracker.update()

    assert first == OrderUpdate("ew1-a", "open", Decimal(0), exchange_order_id="7", symbol="BTCUSDT")
    assert second is None


def test_a_filled_order_is_told_with_its_exact_average_price_and_fee() -> None:
    tracker = fresh_tracker()
    tracker.learn_trade(trade(1, "0.004", "60000.1", "0.12"))
    tracker.learn_trade(trade(2, "0.006", "60000.3", "0.18", at_ms=4_500))
    tracker.learn(fact("FILLED", "0.01"))

    assert tracker.update() == OrderUpdate(
        client_order_id="ew1-a",
        state="filled",
        filled_qty=Decimal("0.010"),
        average_price=Decimal("60000.22"),
        exchange_order_id="7",
        event_ms=4_500,
        fee=Decimal("0.30"),
        symbol="BTCUSDT",
    )
    assert tracker.final


def test_a_filled_order_waits_for_its_trades() -> None:
    tracker = fresh_tracker()
    tracker.learn_trade(trade(1, "0.004"))
    tracker.learn(fact("FILLED", "0.01"))

    before = tracker.update()
    needed = tracker.needs_trades
    tracker.learn_trade(trade(2, "0.006"))
    after = tracker.update()

    assert (before is not None and before.state, needed) == ("partial", True)
    assert (after is not None and after.state, tracker.needs_trades) == ("filled", False)


def test_a_quantity_without_its_trades_is_not_told() -> None:
    tracker = fresh_tracker()
    tracker.learn(fact("PARTIALLY_FILLED", "0.004"))

    told = tracker.update()

    assert told is not None
    assert (told.state, told.filled_qty, told.average_price) == ("open", Decimal(0), None)
    assert tracker.needs_trades


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("CANCELED", "canceled", None),
        ("EXPIRED", "expired", None),
        ("EXPIRED_IN_MATCH", "expired", "expired: it would have traded with an order of the same account"),
        ("REJECTED", "canceled", "rejected by the exchange after it was taken"),
    ],
)
def test_an_order_that_ends_unfilled_is_told_as_it_ended(status: str, state: str, reason: str | None) -> None:
    tracker = fresh_tracker()
    tracker.learn(fact(status))

    told = tracker.update()

    assert told is not None
    assert (told.state, told.filled_qty, told.average_price, told.fee) == (state, Decimal(0), None, None)
    assert (told.reason, told.event_ms) == (reason, 5_000)


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"])
def test_an_order_that_ends_with_fills_keeps_them(status: str) -> None:
    tracker = fresh_tracker()
    tracker.learn(fact(status, "0.004"))

    before = tracker.update()
    tracker.learn_trade(trade(1, "0.004", "59999", "0.11"))
    after = tracker.update()

    assert before is not None
    assert before.state == "open"
    assert after is not None
    assert after.state in ("canceled", "expired")
    assert (after.filled_qty, after.average_price, after.fee) == (
        Decimal("0.004"),
        Decimal("59999"),
        Decimal("0.11"),
    )


def test_a_late_new_does_not_reopen_an_order_that_ended() -> None:
    tracker = fresh_tracker()
    tracker.learn(fact("CANCELED"))
    tracker.update()

    news = tracker.learn(fact("NEW"))

    assert news is False
    assert tracker.update() is None


def test_an_old_word_does_not_take_back_what_was_executed() -> None:
    tracker = fresh_tracker()
    tracker.learn(fact("FILLED", "0.01"))
    tracker.learn_trade(trade(1, "0.004"))

    tracker.learn(fact("PARTIALLY_FILLED", "0.004"))

    told = tracker.update()
    assert told is not None
    assert (told.state, tracker.needs_trades) == ("partial", True)


def test_a_trade_that_comes_twice_counts_once() -> None:
    tracker = fresh_tracker()
    tracker.learn_trade(trade(1, "0.004"))

    again = tracker.learn_trade(trade(1, "0.004"))

    assert again is False
    told = tracker.update()
    assert told is not None
    assert told.filled_qty == Decimal("0.004")


def test_a_trade_after_the_end_is_told_as_well() -> None:
    tracker = fresh_tracker()
    tracker.learn(fact("CANCELED"))
    tracker.update()

    tracker.learn_trade(trade(9, "0.002"))

    told = tracker.update()
    assert told is not None
    assert (told.state, told.filled_qty) == ("canceled", Decimal("0.002"))


def test_a_status_that_nobody_knows_keeps_the_order_open() -> None:
    tracker = fresh_tracker()
    tracker.learn(fact("PENDING_CANCEL"))

    told = tracker.update()

    assert told is not None
    assert told.state == "open"


def test_fees_in_several_assets_are_told_in_words() -> None:
    tracker = fresh_tracker()
    tracker.learn_trade(trade(1, "0.004", fee="0.1"))
    tracker.learn_trade(trade(2, "0.006", fee="0.00002", asset="BNB"))
    tracker.learn(fact("FILLED", "0.01"))

    told = tracker.update()

    assert told is not None
    assert (told.fee, told.reason) == (None, "fees 0.00002 BNB + 0.1 USDT")


def test_a_fee_in_another_asset_than_the_quote_is_named() -> None:
    tracker = fresh_tracker()
    tracker.learn_trade(trade(1, "0.01", fee="0.00002", asset="BNB"))
    tracker.learn(fact("FILLED", "0.01"))

    told = tracker.update()

    assert told is not None
    assert (told.fee, told.reason) == (Decimal("0.00002"), "fees 0.00002 BNB")


def test_the_note_of_a_tracker_stands_in_every_reason() -> None:
    tracker = OrderTracker("ew1-a", 7, "BTCUSDT", note="a second order under this client order id")
    tracker.learn(fact("REJECTED"))

    told = tracker.update()

    assert told is not None
    assert told.reason == (
        "a second order under this client order id; rejected by the exchange after it was taken"
    )


def test_sums_are_exact_however_small_and_many() -> None:
    trades = [trade(number, "0.00000001", "0.00000003", "0.000000000001") for number in range(1_000)]

    sums = tally(trades)

    assert sums.qty == Decimal("0.00001000")
    assert sums.average_price == Decimal("0.00000003")
    assert sums.fee == Decimal("0.000000001000")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"symbol": "ETHUSDT"}, "symbol ETHUSDT instead of BTCUSDT"),
        ({"side": "SELL"}, "side sell instead of buy"),
        ({"order_type": "MARKET"}, "type market instead of limit"),
        ({"qty": Decimal("0.011")}, "quantity 0.011 instead of 0.010"),
        ({"price": Decimal("60000.1")}, "price 60000.1 instead of 60000.0"),
        ({"price": None}, "price None instead of 60000.0"),
    ],
)
def test_terms_that_differ_from_the_row_are_named(changes: dict[str, object], words: str | None) -> None:
    assert difference(fact("NEW", **changes), ORDER) == words


def test_the_price_of_a_market_order_is_no_term() -> None:
    order = msgspec.structs.replace(ORDER, order_type="market", price=None)

    assert difference(fact("NEW", order_type="MARKET", price=Decimal(0)), order) is None


class Life(msgspec.Struct):
    """One order's whole story: the facts and trades of each stream event, in the order they happened."""

    events: list[tuple[OrderFact, TradeFact | None]]


@st.composite
def lives(draw: st.DrawFn) -> Life:
    sizes = draw(st.lists(st.integers(1, 500), max_size=6))
    prices = [draw(st.integers(1, 10**8)) for _ in sizes]
    fees = [(draw(st.integers(0, 999)), draw(st.sampled_from(["USDT", "USDT", "BNB"]))) for _ in sizes]
    endings = ["CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", *(["FILLED"] if sizes else [])]
    ending = draw(st.sampled_from(endings))
    total = Decimal(sum(sizes) + (0 if ending == "FILLED" else 7)) / 1000
    events: list[tuple[OrderFact, TradeFact | None]] = [(fact("NEW", qty=total), None)]
    done = Decimal(0)
    for number, size in enumerate(sizes):
        done += Decimal(size) / 1000
        last = number == len(sizes) - 1 and ending == "FILLED"
        status = "FILLED" if last else "PARTIALLY_FILLED"
        fee, asset = fees[number]
        made = TradeFact(
            trade_id=100 + number,
            order_id=7,
            qty=Decimal(size) / 1000,
            price=Decimal(prices[number]) / 100,
            fee=Decimal(fee) / 10_000,
            fee_asset=asset,
            at_ms=1_000 + number,
        )
        events.append((fact(status, done, qty=total, at_ms=1_000 + number), made))
    if ending != "FILLED":
        events.append((fact(ending, done, qty=total, at_ms=9_000), None))
    return Life(events)


def _hear(tracker: OrderTracker, event: tuple[OrderFact, TradeFact | None], told: list[OrderUpdate]) -> None:
    order, made = event
    if made is not None:
        tracker.learn_trade(made)
    tracker.learn(order)
    _tell(tracker, told)


def _tell(tracker: OrderTracker, told: list[OrderUpdate]) -> None:
    update = tracker.update()
    if update is not None:
        told.append(update)


def _reconcile(tracker: OrderTracker, life: Life, moment: int, told: list[OrderUpdate]) -> None:
    """What REST shows at that moment: the order, and its trades when they are needed."""
    tracker.learn(life.events[moment][0])
    _tell(tracker, told)
    if tracker.needs_trades:
        for _, made in life.events[: moment + 1]:
            if made is not None:
                tracker.learn_trade(made)
        _tell(tracker, told)


@given(life=lives(), data=st.data())
def test_any_loss_duplication_and_order_of_events_leads_to_the_same_end(
    life: Life, data: st.DataObject
) -> None:
    straight: list[OrderUpdate] = []
    in_order = fresh_tracker()
    for event in life.events:
        _hear(in_order, event, straight)
    told: list[OrderUpdate] = []
    tracker = fresh_tracker()
    numbers = st.integers(0, len(life.events) - 1)

    for number, by_rest in data.draw(st.lists(st.tuples(numbers, st.booleans()), max_size=25)):
        if by_rest:
            _reconcile(tracker, life, number, told)
        else:
            _hear(tracker, life.events[number], told)
    _reconcile(tracker, life, len(life.events) - 1, told)
    for number in data.draw(st.lists(numbers, max_size=5)):
        _hear(tracker, life.events[number], told)

    assert straight[-1].state not in ("open", "partial")
    assert told[-1] == straight[-1]
    assert tracker.final
    assert [update.state in ("open", "partial") for update in told].count(False) == 1
    quantities = [update.filled_qty for update in told]
    assert quantities == sorted(quantities)
