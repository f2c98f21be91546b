"""Of orders that went well a share is told, the same ones at every step; failures always are."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pytest

from adapters.contract import Accepted, Order, OrderUpdate, Rejected
from config.seams import SystemClock
from store.lifecycle import State
from store.records import Move, Receipt, Share
from worker.gate import Pending
from worker.logs import Log
from worker.metrics import Metrics
from worker.report import Report

ORDERS = 4_000


def order(number: int) -> Order:
    return Order(
        client_order_id=f"ew1-{number:024d}",
        symbol="BTCUSDT",
        side="buy",
        order_type="market",
        tif="GTC",
        qty=Decimal(1),
        price=None,
        signal_id=f"s{number}",
    )


def lines(level: str, share: float, *, rejected: bool) -> list[str]:
    stream, clock = io.StringIO(), SystemClock()
    log = Log(level, None, clock, stream, False)
    report = Report(Metrics(), log, clock, success_share=share)
    for number in range(ORDERS):
        burst = report.burst("BTCUSDT")
        update = OrderUpdate(order(number).client_order_id, "filled", Decimal(1), Decimal(5))
        answer = Rejected("min_notional", "too small") if rejected else Accepted(update)
        burst.answered(Pending(number, order(number), 0, 0), answer, 1.0)
        burst.end()
    log.close()
    return [json.loads(line)["signal_id"] for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(("share", "least", "most"), [(0.01, 20, 65), (0.5, 1_850, 2_150), (0.0, 0, 0)])
def test_so_many_successes_get_a_line(share: float, least: int, most: int) -> None:
    told = lines("info", share, rejected=False)

    assert least <= len(told) <= most
    assert told == lines("info", share, rejected=False)


def test_every_success_gets_a_line_at_a_share_of_1_and_at_level_debug() -> None:
    assert len(lines("info", 1.0, rejected=False)) == ORDERS
    assert len(lines("debug", 0.0, rejected=False)) == ORDERS


def test_every_failure_gets_a_line() -> None:
    assert len(lines("info", 0.0, rejected=True)) == ORDERS


def test_the_end_of_each_unknown_order_gets_a_line_and_news_that_were_quicker_are_no_error() -> None:
    stream, clock = io.StringIO(), SystemClock()
    log = Log("info", None, clock, stream, False)
    found = Move(row_id=7, before=State.UNKNOWN, after=State.FILLED)
    late = Move(row_id=8, before=State.RESERVED, after=State.UNKNOWN)
    receipt = Receipt(row_ids=[], refused=[(late, "row 8 is not in state reserved")])

    Report(Metrics(), log, clock, success_share=0.0).committed(
        Share(symbol="BTCUSDT", moves=[found, late]), receipt
    )

    log.close()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["level"], line["row"]) for line in told] == [
        ("order_settled", "info", 7),
        ("order_settled", "info", 8),
    ]
