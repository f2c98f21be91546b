"""What the throttle hears of denials: those of the signals, not those that the rate itself brings about."""

from __future__ import annotations

import io

import pytest
from rig.virtual_clock import ManualClock
from rig.wire_rows import wire

from store.records import Receipt, Share
from worker.logs import Log
from worker.metrics import Metrics
from worker.report import Report


@pytest.mark.parametrize(
    ("code", "denied"), [("risk_rate", 0), ("risk_order_usd", 1), ("risk_position_usd", 1)]
)
def test_orders_beyond_the_limit_per_minute_do_not_slow_the_rate_that_made_them(
    code: str, denied: int
) -> None:
    clock = ManualClock()
    report = Report(Metrics(), Log("info", None, clock, io.StringIO(), False), clock)
    share = Share(symbol="BTCUSDT", reservations=[wire(1, "1"), wire(2, "1")])

    report.committed(share, Receipt(row_ids=[1, None], limited=[(1, code, "over the limit")]))

    assert (report.flow.eligible, report.flow.denied) == (2, denied)
