"""What cannot become an order on the simulated venue ends in its row with the reason, by the whole worker."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rig.exchange_transport import ExchangeHost, InProcessTransport
from rig.floor import Worker, drain, signal
from rig.rows import rows
from rig.venue import Memory, settings_of
from rig.virtual_clock import START_MS, VirtualClock, in_virtual_time, virtual_clock

from adapters.binance.transport import Transport
from adapters.contract import StartRefusal
from adapters.exchange.engine import Exchange
from adapters.paper.adapter import PaperAdapter
from adapters.paper.connect import open_paper
from config.settings import Settings
from streams.signal import Signal

D = Decimal


def settings_for(tmp_path: Path, **execution: Any) -> Settings:
    """Mode paper with its journal below `tmp_path`."""
    return settings_of("paper", sink={"base_dir": str(tmp_path)}, **execution)


async def opened(settings: Settings, clock: VirtualClock, transport: Transport | None = None) -> PaperAdapter:
    adapter = open_paper(settings, clock, transport=transport)
    assert not isinstance(adapter, StartRefusal), adapter
    assert await adapter.start(Memory()) is None
    return adapter


async def executed(tmp_path: Path, *signals: Signal, **execution: Any) -> Worker:
    """One life of a worker over the signals."""
    clock = virtual_clock()
    settings = settings_for(tmp_path, **execution)
    adapter = await opened(settings, clock)
    try:
        return await drain(tmp_path / "executions", clock, adapter, *signals)
    finally:
        await adapter.close()


def outcomes(worker: Worker) -> list[tuple[str, str, str | None]]:
    """Signal, state and reason of every row."""
    return rows(worker.folder, "signal_id, state, error_code")


@pytest.mark.parametrize(
    ("price", "code"),
    [(None, "no_price"), (D(0), "bad_price"), (D(-1), "bad_price"), (D("NaN"), "bad_price")],
)
@in_virtual_time
async def test_a_signal_without_a_usable_price_is_rejected_and_the_next_one_is_filled(
    price: Decimal | None, code: str, tmp_path: Path
) -> None:
    worker = await executed(tmp_path, signal(0, price=price), signal(1, price=D(60_000)))

    assert outcomes(worker) == [("BTCUSDT-0", "rejected", code), ("BTCUSDT-1", "filled", None)]


@in_virtual_time
async def test_why_signals_become_no_orders_is_told_once_and_stands_in_every_row(tmp_path: Path) -> None:
    worker = await executed(tmp_path, *(signal(number) for number in range(5)))

    told = [event for event in worker.events() if event["event"] == "signals_without_order"]
    assert [event["code"] for event in told] == ["no_price"]
    assert "execution.paper.fallback_price" in told[0]["why"]
    assert {text for (text,) in rows(worker.folder, "error_msg")} == {told[0]["why"]}
    assert len(outcomes(worker)) == 5


@in_virtual_time
async def test_a_fall_back_price_makes_orders_of_signals_that_have_none(tmp_path: Path) -> None:
    worker = await executed(tmp_path, signal(0), paper={"fallback_price": "60000"})

    assert outcomes(worker) == [("BTCUSDT-0", "filled", None)]


@in_virtual_time
async def test_prices_of_a_file_that_are_missing_or_stale_are_reasons(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(f"ts_ms,symbol,price\n{START_MS + 10},BTCUSDT,60000\n")

    worker = await executed(
        tmp_path,
        signal(0),
        signal(10),
        signal(2_010),
        signal(2_011),
        signal(5, symbol="ETHUSDT"),
        paper={"prices": "file", "price_file": str(path)},
    )

    assert sorted(outcomes(worker)) == [
        ("BTCUSDT-0", "rejected", "no_price"),
        ("BTCUSDT-10", "filled", None),
        ("BTCUSDT-2010", "filled", None),
        ("BTCUSDT-2011", "rejected", "stale_price"),
        ("ETHUSDT-5", "rejected", "no_price"),
    ]


@in_virtual_time
async def test_a_symbol_without_rules_is_a_reason(tmp_path: Path) -> None:
    worker = await executed(tmp_path, signal(0, symbol="SOLUSDT", price=D(150)))

    assert outcomes(worker) == [("SOLUSDT-0", "rejected", "no_symbol_rules")]


@pytest.mark.parametrize(
    ("size_usd", "code"), [(59, "invalid_quantity"), (119, None), (60_000_000, "invalid_quantity")]
)
@in_virtual_time
async def test_a_quantity_beyond_the_symbols_rules_is_a_reason_and_never_bumped_up(
    size_usd: int, code: str | None, tmp_path: Path
) -> None:
    worker = await executed(tmp_path, signal(0, price=D(60_000)), business={"order_size_usd": size_usd})

    state = "filled" if code is None else "rejected"
    assert outcomes(worker) == [("BTCUSDT-0", state, code)]
    if code is None:
        assert rows(worker.folder, "qty") == [("0.001",)]


@in_virtual_time
async def test_an_order_below_the_least_value_is_a_reason(tmp_path: Path) -> None:
    worker = await executed(tmp_path, signal(0, price=D(40_000)), business={"order_size_usd": 45})

    assert outcomes(worker) == [("BTCUSDT-0", "rejected", "min_notional")]


@in_virtual_time
async def test_a_book_that_is_not_told_is_waited_for_until_the_signal_is_too_old(tmp_path: Path) -> None:
    clock = virtual_clock()
    host = ExchangeHost(Exchange(start_ms=clock.wall_ms()), clock, start_ms=clock.wall_ms())
    settings = settings_for(tmp_path, paper={"prices": "book"}, staleness={"max_age_ms": 8_000})
    adapter = await opened(settings, clock, InProcessTransport(host, clock))
    host.refusing = True
    await clock.sleep(3)

    worker = await drain(tmp_path / "executions", clock, adapter, signal(4_000), execution=settings.execution)

    assert outcomes(worker) == [("BTCUSDT-4000", "skipped", "expired")]
    assert clock.wall_ms() > START_MS + 12_000
    await adapter.close()
    await host.close()


@in_virtual_time
async def test_a_price_file_that_cannot_be_used_refuses_the_start_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.jsonl"
    path.write_text('{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":null}\n')
    adapter = open_paper(
        settings_for(tmp_path, paper={"prices": "file", "price_file": str(path)}), virtual_clock()
    )
    assert not isinstance(adapter, StartRefusal)

    refusal = await adapter.start(Memory())

    assert isinstance(refusal, StartRefusal)
    assert refusal.text.startswith(f"price file {path} line 1 has no price")
    await adapter.close()
