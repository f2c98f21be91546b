"""Promises about sending: one of four answers, a guard with the last word, a doubt that ends in the truth."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from rig.promise import promise
from rig.stand import BTC, ETH, Stand, free
from rig.virtual_clock import START_MS

from adapters.contract import (
    Accepted,
    CancelResult,
    ExecutionAdapter,
    Found,
    LookupResult,
    NotSent,
    NotYet,
    ProvenAbsent,
    SubmitResult,
    Unknown,
)
from store.lifecycle import State, may_move


@promise()
async def an_adapter_has_everything_that_the_contract_names(stand: Stand) -> None:
    wanted = {name for name in vars(ExecutionAdapter) if not name.startswith("_")}
    adapter = stand.adapter

    assert {one for one in wanted if not hasattr(adapter, one)} == set()
    assert adapter.batch_max >= 1
    assert adapter.name
    # What touches a wire sends one order at a time, under its client order id.
    assert stand.traits.wire == (adapter.batch_max == 1)
    assert adapter.batch_max == 1 or adapter.order_id_prefix


@promise()
async def every_answer_is_one_of_the_four_and_legal_for_a_reserved_row(stand: Stand) -> None:
    for number in range(5):
        order = stand.prepared(number, BTC if number % 2 else ETH)
        answer = await stand.submit(order)

        assert isinstance(answer, get_args(SubmitResult)), answer
        if isinstance(answer, Accepted):
            assert answer.update.client_order_id == order.client_order_id
            assert may_move(State.RESERVED, State(answer.update.state))
            assert answer.update.filled_qty <= order.qty
            assert (answer.update.state == "filled") <= (answer.update.filled_qty == order.qty)
            times = (answer.sent_ts_ms, answer.ack_ts_ms)
            assert None in times or START_MS <= times[0] <= times[1] <= stand.clock.wall_ms() + 1_000


@promise("witnessed", "takes_all")
async def the_guard_is_asked_before_the_order_is_accepted_and_has_the_last_word(stand: Stand) -> None:
    order = stand.prepared(1)
    seen: list[int] = []

    def notes() -> str | None:
        seen.append(len(stand.accepted()))
        return None

    held = await stand.adapter.submit(order, lambda: "halted by hand")
    await stand.clock.sleep(1.0)
    assert held == NotSent("held", "halted by hand")
    assert stand.accepted() == []

    assert isinstance(await stand.adapter.submit(stand.adapter.renew(order, None), notes), Accepted)
    assert seen
    assert set(seen) == {0}
    assert stand.accepted() == [order.client_order_id]


@promise("window", "witnessed", "takes_all")
async def an_order_whose_window_has_passed_is_not_sent_until_it_has_another(stand: Stand) -> None:
    order = stand.prepared(1)
    assert order.send_before_ms is not None
    await stand.clock.sleep((order.send_before_ms + 1 - stand.clock.wall_ms()) / 1000)

    late = await stand.submit(order)
    over = await stand.submit(stand.adapter.renew(order, stand.clock.wall_ms() - 1))

    for answer in (late, over):
        assert isinstance(answer, NotSent)
        assert answer.code == "window_passed"
    assert stand.accepted() == []
    assert isinstance(await stand.submit(stand.adapter.renew(order, None)), Accepted)
    assert stand.accepted() == [order.client_order_id]


@promise("witnessed")
async def an_order_is_accepted_once_and_is_on_record(stand: Stand) -> None:
    orders = [stand.prepared(number) for number in range(3)]

    answers = [await stand.submit(order) for order in orders]

    record = Counter(stand.accepted())
    for order, answer in zip(orders, answers, strict=True):
        count = record.pop(order.client_order_id, 0)
        assert count == 1 if isinstance(answer, Accepted) else count <= isinstance(answer, Unknown)
    assert record == Counter()


@promise()
async def asking_about_what_was_never_sent_proves_its_absence_and_places_nothing(stand: Stand) -> None:
    order = stand.prepared(9)
    before = await stand.adapter.get_position(BTC)

    answers = [await stand.fate(order) for _ in range(3)]

    assert all(isinstance(answer, get_args(LookupResult)) for answer in answers)
    assert answers == [ProvenAbsent()] * 3
    assert list(await stand.asked(stand.adapter.open_orders, BTC)) == []
    assert await stand.adapter.get_position(BTC) == before
    assert stand.accepted() == []


@promise("loses", "witnessed")
async def a_lost_answer_is_unknown_and_asking_ends_in_the_truth(stand: Stand) -> None:
    fates: set[bool] = set()
    for number in range(stand.losses):
        order = stand.prepared(number)

        answer = await stand.submit(order)

        assert isinstance(answer, Unknown), answer
        assert answer.why
        fates.add(await stand.assert_fate_is_true(order))
    assert fates == stand.fates_of_losses
    assert len(set(stand.accepted())) == len(stand.accepted())


@promise("loses", "account")
async def a_found_order_is_followed_to_its_end(stand: Stand) -> None:
    ear = stand.listen()
    for number in range(stand.losses):
        order = stand.prepared(number)
        await stand.submit(order)
        verdict = await stand.fate(order)
        if isinstance(verdict, Found):
            stand.adapter.watch(order)
            told = await ear.hears(order, "filled")
            assert told.filled_qty == order.qty
    assert {one.client_order_id for one in ear.updates} <= set(stand.accepted())


@promise("limits", "witnessed")
async def an_order_that_comes_again_under_its_id_is_no_second_order(stand: Stand) -> None:
    order = stand.resting(1)
    first = await stand.submit(order)
    assert isinstance(first, Accepted)

    second = await stand.adapter.submit(order, free)

    # What a lane would do with the second answer must leave one working order and one row that says so.
    assert isinstance(second, Accepted | Unknown), second
    found = await stand.fate(order)
    assert isinstance(found, Found)
    assert found.same_terms
    assert found.update.state == "open"
    if isinstance(second, Accepted):
        assert second.update.exchange_order_id == first.update.exchange_order_id
    assert stand.accepted() == [order.client_order_id]
    working = await stand.asked(stand.adapter.open_orders, BTC)
    assert [one.update.client_order_id for one in working] == [order.client_order_id]


@promise()
async def the_other_questions_may_be_repeated_and_never_raise(stand: Stand) -> None:
    adapter = stand.adapter
    for _ in range(2):
        canceled = await adapter.cancel("ew1-nothing", BTC)
        assert isinstance(canceled, CancelResult)
        assert canceled.done or canceled.text
        amended = await adapter.amend("ew1-nothing", BTC, stand.far, stand.far)
        assert amended.done is False
        assert amended.text
        assert list(await stand.asked(adapter.fetch_fills, BTC, START_MS)) == []
        assert isinstance(await adapter.get_balance(), dict | NotYet)
        assert await stand.asked(adapter.get_position, BTC) == stand.flat(BTC)
        await adapter.flush()
    assert stand.accepted() == []
