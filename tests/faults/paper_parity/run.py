"""Paper against the exchange as a command: `make paper-parity`, or

PYTHONPATH=tests/faults:tests/integration python -m paper_parity.run --signals 2000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from paper_parity.batch import Executed, Walk, batch, execute
from paper_parity.figures import percentile

from adapters.exchange.terms import FUTURES_RULES

TICKS = {rules.symbol: rules.tick for rules in FUTURES_RULES}
TICKS_P95_MAX = 1


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="execute one batch of signals on paper and on the exchange, and compare the fill prices"
    )
    parser.add_argument("--signals", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=20_251_115)
    parser.add_argument("--step-ms", type=int, default=1_000, help="how often the prices move")
    parser.add_argument("--step-bps", type=int, default=2, help="by how many basis points at most")
    return parser.parse_args()


def differences(paper: dict[str, Executed], exchange: dict[str, Executed]) -> list[Decimal]:
    """By how many ticks the fill prices of each signal differ, ascending."""
    return sorted(
        abs(one.price - exchange[name].price) / TICKS[one.symbol]
        for name, one in paper.items()
        if name in exchange and one.state == exchange[name].state == "filled"
    )


def main() -> int:
    """0 when every signal was filled in both and 95 % of the prices differ by a tick at most."""
    options = _arguments()
    began = time.monotonic()
    signals = batch(options.signals, options.seed)
    walk = Walk(options.seed, options.step_ms, options.step_bps)
    with tempfile.TemporaryDirectory() as folder:
        paper = execute("paper", signals, walk, Path(folder) / "paper")
        exchange = execute("testnet", signals, walk, Path(folder) / "testnet")
    ticks = differences(paper, exchange)
    filled = {
        name: sum(one.state == "filled" for one in found.values())
        for name, found in (("paper", paper), ("exchange", exchange))
    }
    say(f"{len(signals)} signals: {filled['paper']} filled on paper, {filled['exchange']} on the exchange")
    if not ticks:
        say("FAILED: nothing to compare")
        return 1
    prices = {one.price for one in exchange.values()}
    alike = sum(one.qty == exchange[name].qty for name, one in paper.items())
    p50, p95 = percentile(ticks, 50), percentile(ticks, 95)
    say(
        f"fill prices differ by {p50} ticks at p50, {p95} at p95, {ticks[-1]} at most; "
        f"{sum(tick == 0 for tick in ticks)} of {len(ticks)} are the same, {alike} quantities are; "
        f"the exchange filled at {len(prices)} different prices"
    )
    failed = p95 > TICKS_P95_MAX or set(filled.values()) != {len(signals)}
    say(f"{'FAILED' if failed else 'passed'} in {time.monotonic() - began:.1f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
