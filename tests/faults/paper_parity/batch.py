"""One batch of signals, executed by mode paper on an exchange's book and by mode testnet on that exchange.

Both run in virtual time from the same moment, each on an exchange of its own whose prices take the same walk:
a signal meets the same book in both, as far as paper knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from rig.exchange_transport import ExchangeHost, InProcessTransport
from rig.floor import Worker, signal
from rig.rows import rows
from rig.venue import KEY, URL, Memory
from rig.virtual_clock import START_MS, VirtualClock, VirtualTimeLoop, until

from adapters.binance.connect import open_binance
from adapters.binance.transport import Transport
from adapters.contract import ExecutionAdapter, StartRefusal
from adapters.exchange.engine import Exchange
from adapters.exchange.prices import RandomWalk
from adapters.exchange.terms import FUTURES_RULES
from adapters.paper.connect import open_paper
from config.seams import seeded_random
from config.settings import Settings
from streams.signal import Signal

SYMBOLS = ("BTCUSDT", "ETHUSDT")
# The venue is ready long before; all signals come in order of time.
FIRST_AFTER_MS = 5_000
GAP_MS_MEAN = 150
# One way in the same city.
WAY_S = 0.005
SETTLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Walk:
    """How prices move: every `step_ms` by at most `step_bps` hundredths of a percent, by seed."""

    seed: int
    step_ms: int = 1_000
    step_bps: int = 2

    def prices(self) -> RandomWalk:
        """The walk from its beginning."""
        start = {rules.symbol: rules.start_price for rules in FUTURES_RULES}
        dice = seeded_random(self.seed)
        return RandomWalk(start, dice, start_ms=START_MS, step_ms=self.step_ms, step_bps=self.step_bps)


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of one signal."""

    symbol: str
    state: str
    qty: Decimal
    price: Decimal


def batch(count: int, seed: int) -> list[Signal]:
    """Signals of both symbols and sides, some of them at the same moment."""
    dice = Random(seed)
    after_ms, made = FIRST_AFTER_MS, []
    for number in range(count):
        after_ms += round(dice.expovariate(1 / GAP_MS_MEAN))
        symbol, score = dice.choice(SYMBOLS), dice.choice((0.9, -0.9))
        made.append(
            signal(number, symbol, ts_ms=START_MS + after_ms, score=score, price=Decimal(1 + number % 7))
        )
    return made


def on_paper(settings: Settings, clock: VirtualClock, wire: Transport) -> ExecutionAdapter:
    """The simulated venue on the book."""
    adapter = open_paper(settings, clock, transport=wire)
    assert not isinstance(adapter, StartRefusal), adapter
    return adapter


def on_exchange(settings: Settings, clock: VirtualClock, wire: Transport) -> ExecutionAdapter:
    """The exchange itself."""
    return open_binance(settings, KEY, clock, transport=wire)


_OPEN: dict[str, Callable[[Settings, VirtualClock, Transport], ExecutionAdapter]] = {
    "paper": on_paper,
    "testnet": on_exchange,
}


def execute(mode: str, signals: list[Signal], walk: Walk, folder: Path) -> dict[str, Executed]:
    """What becomes of each signal in this mode, by its id."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        return runner.run(_execute(mode, signals, walk, folder, VirtualClock(loop)))


async def _execute(
    mode: str, signals: list[Signal], walk: Walk, folder: Path, clock: VirtualClock
) -> dict[str, Executed]:
    exchange = Exchange(start_ms=START_MS, prices=walk.prices())
    host = ExchangeHost(exchange, clock, start_ms=START_MS)
    settings = _settings(mode, folder)
    adapter = _OPEN[mode](settings, clock, InProcessTransport(host, clock, lambda: WAY_S))
    assert await adapter.start(Memory()) is None
    inputs: dict[str, list[Any]] = {symbol: [] for symbol in SYMBOLS}
    worker = Worker(folder / "executions", clock, adapter, inputs, execution=settings.execution, once=False)
    async with worker:
        news = asyncio.create_task(_follow(adapter, worker))
        for one in signals:
            await clock.sleep((one.ts_ms - clock.wall_ms()) / 1000)
            worker.feeds[one.symbol].add(one)
        await until(lambda: _settled(folder, len(signals)), clock, within_s=SETTLED_S)
        await worker.stop()
        await adapter.close()
        news.cancel()
        with suppress(asyncio.CancelledError):
            await news
    await host.close()
    return _found(folder)


async def _follow(adapter: ExecutionAdapter, worker: Worker) -> None:
    """As the daemon does."""
    async for update in adapter.updates():
        await worker.floor.news.apply(update)


def _settings(mode: str, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "execution": {
                "mode": mode,
                "symbols": SYMBOLS,
                "sink": {"base_dir": folder},
                "rate_limit": {"max_qps": 1_000, "max_concurrency": 8},
                "business": {"order_size_usd": 400},
                "paper": {"prices": "book"},
            },
            "broker": {"rest_url": URL},
        }
    )


def _settled(folder: Path, count: int) -> bool:
    return rows(folder / "executions", "count(*)", "executions WHERE exec_ts_ms IS NOT NULL") == [(count,)]


def _found(folder: Path) -> dict[str, Executed]:
    found = rows(folder / "executions", "signal_id, symbol, state, qty, price")
    return {
        name: Executed(symbol, state, Decimal(qty or 0), Decimal(price or 0))
        for name, symbol, state, qty, price in found
    }
