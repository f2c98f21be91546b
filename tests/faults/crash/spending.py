"""How much of an exchange's order budget the whole worker spends, by the exchange's own count.

    PYTHONPATH=tests/faults:tests/integration python -m crash.spending

Signals of several symbols wait from the beginning, the pace of the worker's own is out of the way, and two
whole windows of the exchange are looked at. It must never have had to say 429.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

from crash.campaign import quiet_memory
from crash.life import Life, reading_from
from crash.points import scratch
from crash.run import say
from crash.stepping import BEGIN_S, LifeClock, SteppingLoop, without_threads
from crash.wire import CallbackHost
from rig.exchange_transport import InProcessTransport
from rig.floor import signal
from rig.virtual_clock import START_MS

from adapters.exchange.engine import Exchange
from adapters.exchange.terms import FUTURES_RULES, RateLimits, SymbolRules
from config.seams import seeded_random
from config.settings import Settings
from streams.signal import Record

MINUTE_MS = 60_000
MINUTES = 2
AFTER_BEGINNING_MS = 1_000
SHARE_MIN = Decimal("0.98")
MORE_SYMBOLS = ("SOLUSDT", "XRPUSDT")


def _rules() -> list[SymbolRules]:
    more = [
        SymbolRules(name, Decimal("0.01"), Decimal("0.001"), Decimal(5), Decimal("150"))
        for name in MORE_SYMBOLS
    ]
    return [*FUTURES_RULES, *more]


def _settings(symbols: list[str]) -> Settings:
    execution = {
        "mode": "testnet",
        "symbols": symbols,
        "rate_limit": {"max_qps": 10_000, "max_concurrency": 8},
        "staleness": {"max_age_ms": 600_000},
        "risk": {
            "max_order_usd": 1_000,
            "max_orders_per_minute": 1_000_000,
            "max_position_usd": 1_000_000_000,
        },
    }
    return Settings.model_validate({"execution": execution, "broker": {"rest_url": "http://127.0.0.1:8080"}})


def _later(number: int, symbol: str, score: float) -> Record:
    """A signal from after the beginning of the store: older ones wait."""
    return signal(number, symbol, score=score, ts_ms=START_MS + AFTER_BEGINNING_MS + number)


class Spending:
    """One worker that has more to send than it may."""

    def __init__(self, root: Path, loop: SteppingLoop, limits: RateLimits, seed: int) -> None:
        self._loop = loop
        self._clock = LifeClock(loop)
        dice = seeded_random(seed)
        self.exchange = Exchange(start_ms=START_MS, rules=_rules(), seed=seed, limits=limits)
        self.host = CallbackHost(self.exchange, self._clock, loop)
        symbols = [rules.symbol for rules in _rules()]
        assert limits.orders_per_minute is not None
        count = (MINUTES + 2) * limits.orders_per_minute // len(symbols)
        sides = (0.9, -0.9)
        inputs: dict[str, list[Record]] = {
            symbol: [_later(number, symbol, score=sides[number % 2]) for number in range(count)]
            for symbol in symbols
        }
        wire = InProcessTransport(self.host, self._clock, lambda: 0.002 + dice.random() * 0.02)  # type: ignore[arg-type]  # same face
        self.life = Life(root / "1", _settings(symbols), self._clock, wire, inputs)

    async def run(self) -> None:
        """Until the second whole minute is over, and not a moment longer."""
        context = self._loop.begin(1)
        task = self._loop.create_task(self.life.run(), context=context)
        end_ms = (START_MS // MINUTE_MS + 1 + MINUTES) * MINUTE_MS
        await self._clock.sleep((end_ms - START_MS) / 1_000 + 1.0)
        self._loop.kill()
        self.life.let_go()
        if task.done():
            task.result()

    def minutes(self) -> list[int]:
        """How many orders the exchange has accepted in each of its whole minutes."""
        found = Counter(
            int(str(entry["exchange_ms"])) // MINUTE_MS
            for entry in self.exchange.journal
            if entry["kind"] == "accepted"
        )
        first = START_MS // MINUTE_MS + 1
        return [found[minute] for minute in range(first, first + MINUTES)]


def main() -> int:
    """0 when enough was spent and never too much."""
    parser = argparse.ArgumentParser(description="spend an order budget in virtual time")
    parser.add_argument("--per-minute", type=int, default=1_200)
    parser.add_argument("--per-10-s", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    limits = RateLimits(orders_per_minute=options.per_minute, orders_per_10_s=options.per_10_s)
    quiet_memory()
    root, loop = scratch(), SteppingLoop()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        stack.enter_context(without_threads())
        spending = Spending(root, loop, limits, options.seed)
        stack.enter_context(reading_from(lambda: spending.life.source))
        loop.run_until_complete(spending.run())
    binding = min(options.per_minute, 6 * options.per_10_s)
    share = Decimal(sum(spending.minutes())) / (MINUTES * binding)
    too_many = spending.host.statuses[429] + spending.host.statuses[418]
    say(
        f"seed {options.seed}: {spending.minutes()} orders of {binding} a minute, "
        f"{100 * share:.2f} % of the budget, {too_many} times too many, "
        f"{loop.time() - BEGIN_S:.0f} virtual seconds"
    )
    return 0 if share >= SHARE_MIN and not too_many else 1


if __name__ == "__main__":
    sys.exit(main())
