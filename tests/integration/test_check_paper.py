"""What check says of mode paper: where prices come from, whether they can be read, and for which symbols."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.exchange.engine import Exchange
from adapters.exchange.server import ExchangeServer
from adapters.paper.journal_file import JOURNAL_BYTES_MAX
from config.load import load_settings
from config.seams import SystemClock
from worker.check_paper import paper_rows
from worker.doubt import Level, Row

T = 1_763_225_940_000


def told(tmp_path: Path, **changes: object) -> dict[str, Row]:
    """The rows of mode paper over `tmp_path`, by subject; dots of keys are `__`."""
    overrides: dict[str, object] = {
        "execution.mode": "paper",
        "execution.sink.base_dir": str(tmp_path / "out"),
        "execution.source.base_dir": str(tmp_path),
        "execution.symbols": "BTCUSDT,ETHUSDT",
    }
    overrides |= {key.replace("__", "."): value for key, value in changes.items()}
    loaded = load_settings(config_file=None, environ={}, overrides=overrides)
    return {row.subject: row for row in paper_rows(loaded.settings, SystemClock())}


def signals(tmp_path: Path, **fields: object) -> None:
    folder = tmp_path / "ready" / "signal" / "BTCUSDT"
    folder.mkdir(parents=True)
    (folder / "signals-20250101-00.jsonl").write_text(json.dumps({"ts_ms": T, **fields}) + "\n" + '{"cut')


@contextmanager
def exchange() -> Iterator[str]:
    """An exchange on loopback with a loop of its own, because check makes one for itself."""
    clock, loop = SystemClock(), asyncio.new_event_loop()
    server = ExchangeServer(Exchange(start_ms=clock.wall_ms()), clock, socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_signals_with_prices_need_nothing_else(tmp_path: Path) -> None:
    signals(tmp_path, mid=61_000.5)

    rows = told(tmp_path)

    assert {row.level for row in rows.values()} == {Level.OK}
    assert rows.keys() == {"prices", "rules"}


def test_signals_without_prices_are_told_with_the_ways_out(tmp_path: Path) -> None:
    signals(tmp_path, score=1)

    row = told(tmp_path)["prices"]

    assert row.level is Level.WARN
    assert row.finding.startswith("the last signal of BTCUSDT has neither price nor mid")
    assert row.remedy.startswith("set execution.paper.fallback_price, or execution.paper.prices to file")


def test_a_fall_back_is_enough(tmp_path: Path) -> None:
    signals(tmp_path, score=1)

    row = told(tmp_path, execution__paper__fallback_price="60000")["prices"]

    assert row == Row(Level.OK, "prices", "each signal's own price or mid; 60000 where it has none")


def test_a_price_file_is_read_and_a_symbol_that_it_lacks_is_told(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(f"ts_ms,symbol,price\n{T},BTCUSDT,61000\n{T + 60_000},BTCUSDT,61001\n")

    rows = told(tmp_path, execution__paper__prices="file", execution__paper__price_file=str(path))

    assert rows["prices"].finding == f"{path}, 2 prices of these symbols"
    assert rows["prices BTCUSDT"].finding == "from 2025-11-15 16:59:00.000 to 2025-11-15 17:00:00.000"
    assert rows["prices ETHUSDT"].level is Level.WARN


def test_a_price_file_that_cannot_be_used_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(f"ts_ms,symbol,price\n{T},BTCUSDT,nan\n")

    row = told(tmp_path, execution__paper__prices="file", execution__paper__price_file=str(path))["prices"]

    assert row == Row(
        Level.FAIL,
        "prices",
        f"price file {path} line 2 has the price NaN, must be a number above 0",
        "correct the line or take it out",
    )


def test_symbols_without_rules_and_rules_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    without = told(tmp_path, execution__symbols="BTCUSDT,SOLUSDT")["rules"]
    unreadable = told(tmp_path, execution__paper__rules_file=str(tmp_path / "no.json"))["rules"]

    assert without.level is Level.WARN
    assert without.finding == (
        "nothing of SOLUSDT in the built-in rules: orders of it are rejected (no_symbol_rules)"
    )
    assert unreadable.level is Level.FAIL
    assert unreadable.remedy == "name it with execution.paper.rules_file"


def test_the_book_is_asked_without_a_key(tmp_path: Path) -> None:
    with exchange() as url:
        rows = told(tmp_path, execution__paper__prices="book", broker__rest_url=url)

    assert rows == {
        "prices": Row(
            Level.OK,
            "prices",
            "the exchange's book, without a key; BTCUSDT stands at 59999.9 to 60000.1",
        )
    }


def test_an_exchange_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.check_paper.BOOK_S_MAX", 0.3)

    rows = told(tmp_path, execution__paper__prices="book", broker__rest_url="http://127.0.0.1:1")

    assert rows["prices"].level is Level.FAIL
    assert rows["prices"].remedy.startswith("check the network, then")


@pytest.mark.parametrize(
    ("size", "level"),
    [(1, Level.OK), (JOURNAL_BYTES_MAX // 2 + 1, Level.WARN), (JOURNAL_BYTES_MAX + 1, Level.FAIL)],
)
def test_a_journal_that_a_start_will_not_be_able_to_read_is_told_before(
    tmp_path: Path, size: int, level: Level
) -> None:
    journal = tmp_path / "out" / "paper" / "orders.jsonl"
    journal.parent.mkdir(parents=True)
    journal.touch()
    os.truncate(journal, size)

    row = told(tmp_path)["journal"]

    assert row.level is level
    assert str(journal) in row.finding


def test_a_journal_that_is_not_there_yet_is_no_doubt(tmp_path: Path) -> None:
    assert "journal" not in told(tmp_path)
