"""Twenty SIGKILLs of a worker that trades on a lying exchange: one order for each signal, none lost."""

from __future__ import annotations

from pathlib import Path

from drill_exchange.kills import ORDER_POINTS, SHORT, ExchangeDrill

SEED = 20_251_115


def test_a_killed_worker_on_a_lying_exchange_places_one_order_per_signal(tmp_path: Path) -> None:
    drill = ExchangeDrill(SEED, tmp_path / "drill", SHORT)

    report = drill.run()

    verdict = report.verdict
    assert report.objections == []
    assert report.killed >= SHORT.kills
    assert report.kills.keys() >= set(ORDER_POINTS)
    assert verdict.signals == verdict.rows == verdict.lines >= SHORT.signals
    assert verdict.accepted == verdict.eligible > 0
    assert (verdict.doubled, verdict.lost) == (0, 0)
    assert report.orders_struck >= 0.30 * report.orders_asked
