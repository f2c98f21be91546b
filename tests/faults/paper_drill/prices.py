"""The prices of the paper drill: a formula, so that the judge knows them without asking anybody."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

from drill.feed import FIRST_TS_MS, MINUTE_MS

STEP_MS = 10_000
STEPS = 2_200
# Late signals belong to the minute before, which may lie before the first one.
BEGIN_MS = FIRST_TS_MS // MINUTE_MS * MINUTE_MS - MINUTE_MS
# Of each symbol: the lowest bid, the tick, and how far the ask lies above the bid, in ticks.
TERMS = {
    "BTCUSDT": (Decimal("60000"), Decimal("0.1"), 3),
    "ETHUSDT": (Decimal("3000"), Decimal("0.01"), 5),
}


def book_at(symbol: str, ts_ms: int) -> tuple[Decimal, Decimal]:
    """Bid and ask of `symbol` at that moment."""
    lowest, tick, spread = TERMS[symbol]
    step = (ts_ms - BEGIN_MS) // STEP_MS
    bid = lowest + tick * (step * 7_919 % 1_000)
    return bid, bid + tick * spread


def write_prices(path: Path) -> None:
    """All of them, as a file for execution.paper.price_file."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("ts_ms", "symbol", "bid", "ask"))
        for step in range(STEPS):
            ts_ms = BEGIN_MS + step * STEP_MS
            for symbol in TERMS:
                rows.writerow((ts_ms, symbol, *book_at(symbol, ts_ms)))
