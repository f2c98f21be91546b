"""The lane and what a venue may answer: each answer ends in its own state, and nothing is sent twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from rig.floor import UNLIMITED, Worker, drain, signal
from rig.rows import rows
from rig.scripted_adapter import (
    ScriptedAdapter,
    fills,
    fills_half,
    is_not_sent,
    loses_the_answer,
    loses_the_order,
    opens,
    rejects,
)
from rig.virtual_clock import START_MS, in_virtual_time, until, virtual_clock

from adapters.contract import Found, LookupResult, NotSent, NotYet, Order, ProvenAbsent, Reject
from config.settings import RateLimit, Retry, Staleness
from store.connection import DATABASE

A, B, C = (f"BTCUSDT-{number}" for number in range(3))
E = "ETHUSDT-0"


@in_virtual_time
async def test_an_order_that_is_accepted_at_once_is_filled_with_the_venues_words(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock())

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0))

    assert venue.placed == [A]
    assert rows(tmp_path, "state, status, side, qty, price, order_id = client_order_id") == [
        ("filled", "success", "long", "100.00", "43210.10", 1)
    ]
    assert worker.events()[0]["event"] == "order_filled"


@in_virtual_time
async def test_an_order_that_works_on_lets_the_lane_go_on(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock(), answers={A: [opens], B: [fills_half]})

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0), signal(1), signal(2))

    assert venue.placed == [A, B, C]
    assert worker.states() == {A: "open", B: "partial", C: "filled"}
    assert rows(tmp_path, "status, qty") == [
        ("pending", "100.00"),
        ("pending", "50.00"),
        ("success", "100.00"),
    ]


@in_virtual_time
async def test_a_rejected_order_fails_with_the_venues_reason_and_the_next_one_goes(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock(), answers={A: [rejects]})

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0), signal(1))

    assert worker.states() == {A: "rejected", B: "filled"}
    assert worker.codes() == {A: "margin_insufficient", B: None}
    assert venue.placed == [B]
    assert len(venue.sent) == 2


@in_virtual_time
async def test_an_order_that_the_adapter_refuses_is_recorded_and_never_sent(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock())
    venue.refuses[A] = Reject("below_min_notional", "5 USDT at least")

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0), signal(1))

    assert worker.states() == {A: "rejected", B: "filled"}
    assert worker.codes()[A] == "below_min_notional"
    assert [sent.signal_id for sent in venue.sent] == [B]


@in_virtual_time
async def test_an_unknown_answer_is_neither_resent_nor_called_rejected_and_blocks_only_its_symbol(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [loses_the_order]},
        lookups={A: [lambda v, o: NotYet(v._clock.wall_ms() + 5_000, "the window is still open")]},
    )
    inputs = {"BTCUSDT": [signal(0), signal(1)], "ETHUSDT": [signal(0, "ETHUSDT"), signal(1, "ETHUSDT")]}

    async with Worker(tmp_path, clock, venue, inputs) as worker:
        await clock.sleep(600)
        states, blocked_by = worker.states(), worker.lanes["BTCUSDT"].blocked_by
        await worker.stop()

    assert states == {A: "unknown", E: "filled", "ETHUSDT-1": "filled"}
    assert rows(tmp_path, "status, error_code", "executions WHERE signal_id = 'BTCUSDT-0'") == [
        ("retry", None)
    ]
    assert [sent.signal_id for sent in venue.sent].count(A) == 1
    assert "read timed out" in (blocked_by or "")


@in_virtual_time
async def test_a_lost_answer_is_found_at_the_venue_and_the_order_adopted(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock(), answers={A: [loses_the_answer]})

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0), signal(1))

    assert worker.states() == {A: "filled", B: "filled"}
    assert venue.placed == [A, B]
    assert [row for (row,) in rows(tmp_path, "to_state", "events WHERE execution_id = 1", "seq")] == [
        "reserved",
        "unknown",
        "filled",
    ]


@in_virtual_time
async def test_an_order_proven_absent_is_sent_again_from_its_row_under_the_same_id(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock(), answers={A: [loses_the_order, fills]})

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0), signal(1))

    assert [sent.signal_id for sent in venue.sent] == [A, A, B]
    assert len({sent.client_order_id for sent in venue.sent[:2]}) == 1
    assert venue.placed == [A, B]
    assert worker.states() == {A: "filled", B: "filled"}
    assert '"attempts":2' in rows(tmp_path, "meta_json")[0][0]


@pytest.mark.parametrize("attempts_max", [1, 2, 3])
@in_virtual_time
async def test_an_order_is_sent_at_most_as_often_as_configured(tmp_path: Path, attempts_max: int) -> None:
    venue = ScriptedAdapter(virtual_clock(), answers={A: [loses_the_order]})
    execution = UNLIMITED.model_copy(update={"retry": Retry(max_attempts=attempts_max)})

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0), signal(1), execution=execution)

    assert [sent.signal_id for sent in venue.sent] == [A] * attempts_max + [B]
    assert worker.states() == {A: "rejected", B: "filled"}
    assert worker.codes()[A] == "attempts_exhausted"


@in_virtual_time
async def test_an_order_found_with_other_terms_is_quarantined_and_blocks_its_symbol(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [loses_the_answer]},
        lookups={A: [lambda v, o: Found(v.orders[o.client_order_id], same_terms=False)]},
    )
    inputs = {"BTCUSDT": [signal(0), signal(1)], "ETHUSDT": [signal(0, "ETHUSDT")]}

    async with Worker(tmp_path, clock, venue, inputs) as worker:
        await clock.sleep(3_600)
        states = worker.states()
        await worker.stop()

    assert states == {A: "quarantined", E: "filled"}
    assert [sent.signal_id for sent in venue.sent].count(B) == 0
    assert any(event["event"] == "lane_quarantined" for event in worker.events())


@in_virtual_time
async def test_an_order_without_proof_is_quarantined_after_fifteen_minutes(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [loses_the_order]},
        lookups={A: [lambda v, o: NotYet(v._clock.wall_ms() + 5_000, "no answer")]},
    )

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as worker:
        await clock.sleep(899)
        before = worker.states()
        await clock.sleep(10)
        after = worker.states()
        await worker.stop()

    assert (before, after) == ({A: "unknown"}, {A: "quarantined"})
    assert len(venue.sent) == 1
    assert "no answer" in rows(tmp_path, "reason", "events", "seq")[-1][0]


@in_virtual_time
async def test_a_quarantined_symbol_goes_on_when_a_person_has_resolved_the_order(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [loses_the_answer]},
        lookups={A: [lambda v, o: Found(v.orders[o.client_order_id], same_terms=False)]},
    )

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as worker:
        await until(lambda: worker.states() == {A: "quarantined"}, clock)
        worker.ledger._connection.execute("UPDATE executions SET state = 'filled', exec_ts_ms = 1")
        await worker.drained()

    assert worker.states() == {A: "filled", B: "filled"}


@in_virtual_time
async def test_an_order_that_was_not_sent_goes_out_once_the_way_is_free(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [is_not_sent, is_not_sent, is_not_sent, fills]})

    worker = await drain(tmp_path, clock, venue, signal(0), signal(1))

    assert venue.placed == [A, B]
    assert worker.states() == {A: "filled", B: "filled"}
    gaps_s = [
        round(later.at_s - sent.at_s, 3) for sent, later in zip(venue.sent, venue.sent[1:], strict=False)
    ]
    assert gaps_s[:3] == [0.5, 1.0, 2.0]
    assert '"attempts":1' in rows(tmp_path, "meta_json")[0][0]


@in_virtual_time
async def test_while_an_order_waits_to_be_sent_again_it_holds_no_slot_and_needs_no_second_permit(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [is_not_sent] * 6 + [fills]})
    execution = UNLIMITED.model_copy(update={"rate_limit": RateLimit(max_qps=1, max_concurrency=1)})
    signals = [signal(0), *(signal(number, "ETHUSDT") for number in range(3))]

    worker = await drain(tmp_path, clock, venue, *signals, execution=execution)

    order = list(dict.fromkeys(venue.placed))
    assert order == ["ETHUSDT-0", "ETHUSDT-1", "ETHUSDT-2", A]
    assert set(worker.states().values()) == {"filled"}
    # Four orders at one a second, however often one of them was tried.
    assert [round(sent.at_s - 1_000) for sent in venue.sent if sent.symbol == "ETHUSDT"] == [2, 3, 4]


@in_virtual_time
async def test_a_venues_deadline_is_kept_to_before_an_unsent_order_is_tried_again(tmp_path: Path) -> None:
    clock = virtual_clock()
    banned = NotSent("banned", "429", retry_at_ms=START_MS + 120_000)
    venue = ScriptedAdapter(clock, answers={A: [lambda v, o: banned, fills]})

    worker = await drain(tmp_path, clock, venue, signal(0))

    assert [sent.at_s - 1_000 for sent in venue.sent] == pytest.approx([0, 120])
    assert worker.states() == {A: "filled"}


@in_virtual_time
async def test_stopping_during_a_venues_deadline_sends_nothing_before_it(tmp_path: Path) -> None:
    clock = virtual_clock()
    banned = NotSent("banned", "429", retry_at_ms=START_MS + 120_000)
    venue = ScriptedAdapter(clock, answers={A: [lambda v, o: banned]})

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}, once=False) as worker:
        await clock.sleep(60)
        await worker.stop()

    assert len(venue.sent) == 1
    assert worker.states() == {A: "reserved"}


@in_virtual_time
async def test_an_order_that_cannot_be_sent_is_skipped_when_its_life_is_over_and_not_at_the_deadline(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    banned = NotSent("banned", "418", retry_at_ms=START_MS + 3 * 86_400_000)
    venue = ScriptedAdapter(clock, answers={A: [lambda v, o: banned]})
    execution = UNLIMITED.model_copy(update={"staleness": Staleness(max_age_ms=60_000)})

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}, execution=execution) as worker:
        await clock.sleep(62)
        states, codes = worker.states(), worker.codes()

    assert states == {A: "skipped"}
    assert codes == {A: "expired"}
    assert len(venue.sent) == 1


@in_virtual_time
async def test_an_order_that_lives_for_ever_and_cannot_be_sent_is_given_up_and_counted(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [is_not_sent]})

    worker = await drain(tmp_path, clock, venue, signal(0), signal(1))

    assert worker.states() == {A: "rejected", B: "filled"}
    assert worker.codes()[A] == "refused"
    assert 600 <= clock.monotonic_s() - 1_000 <= 640
    assert venue.orders[next(iter(venue.orders))].filled_qty == Decimal("100.00")


def resolved_by_hand(venue: ScriptedAdapter, order: Order) -> LookupResult:
    """While the venue is asked, a person decides that the order was filled."""
    with closing(sqlite3.connect(venue.store, isolation_level=None)) as connection:
        connection.execute("UPDATE executions SET state = 'filled', exec_ts_ms = 1 WHERE state = 'unknown'")
    return ProvenAbsent()


@pytest.mark.parametrize("at_start", [False, True])
@in_virtual_time
async def test_an_order_whose_row_was_settled_by_somebody_else_is_never_sent_again(
    tmp_path: Path, at_start: bool
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [loses_the_order]}, lookups={A: [resolved_by_hand]})
    venue.store = tmp_path / DATABASE
    if at_start:
        venue.latency_s = 60.0
        async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}, once=False):
            await clock.sleep(1)
        venue.latency_s = 0.0

    worker = await drain(tmp_path, clock, venue, signal(0), signal(1))

    assert [sent.signal_id for sent in venue.sent] == [A, B]
    assert worker.states() == {A: "filled", B: "filled"}
