"""Twenty SIGKILLs of a worker that trades on a lying exchange: one order for each signal, none lost."""

from __future__ import annotations

from pathlib import Path

from drill_exchange.kills import ORDER_POINTS, SHORT, ExchangeDrill

SEED = 20_251_115
KILLS = 20
# A point that no order passes in time, on a host with other things to do, becomes a random death.
ORDER_POINTS_MIN = 2


def test_a_killed_worker_on_a_lying_exchange_places_one_order_per_signal(tmp_path: Path) -> None:
    drill = ExchangeDrill(SEED, tmp_path / "drill", SHORT)

    report = drill.run()

    verdict = report.verdict
    assert report.objections == []
    assert report.killed >= KILLS
    assert len(report.kills.keys() & set(ORDER_POINTS)) >= ORDER_POINTS_MIN
    assert verdict.signals == verdict.rows == verdict.lines >= SHORT.signals
    assert verdict.accepted == verdict.eligible > 0
    assert (verdict.doubled, verdict.lost) == (0, 0)
    assert report.orders_struck >= 0.30 * report.orders_asked
