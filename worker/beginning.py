"""Where a symbol begins in a source that it was not read from before; the store's stamps remember it.

A stamp `start:KIND:SYMBOL` says beginning, now, a time in UTC epoch milliseconds, or that the source was
changed since, so that the symbol has to begin anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Container, Iterable, Sequence

from config.settings import Mode
from store.lifecycle import State
from streams.position import SourcePosition
from streams.source import Feed
from worker.logs import Log
from worker.options import RunOptions

START_STAMP = "start:"
SOURCE_CHANGED = "source_changed"
# A wait for the source that is longer than this is told.
QUIET_S_MAX = 1.0


def begin_of(symbol: str, stamps: dict[str, str], options: RunOptions, mode: Mode) -> str:
    """Where a symbol begins: as asked for, or by mode.

    After a source change it is now, also for a symbol that was not enabled then: what the sources have in
    common may carry other ids, and would be executed twice.
    """
    begun = [key for key in stamps if key.startswith(START_STAMP)]
    if any(key.endswith(f":{symbol}") for key in begun) or (begun and options.accept_source_change):
        return "now"
    if options.start is not None:
        return str(options.start)
    return "now" if mode.touches_exchange else "beginning"


def without_lane(unsettled: Iterable[tuple[str, State, int, int]], symbols: Container[str]) -> dict[str, int]:
    """Orders of symbols that are no longer enabled, by symbol: no lane will ever ask about them."""
    rows: Counter[str] = Counter()
    for symbol, _, count, _ in unsettled:
        if symbol not in symbols:
            rows[symbol] += count
    return dict(rows)


async def end_of(feed: Feed, log: Log) -> Sequence[SourcePosition]:
    """Where the feed's source ends now; the wait for one that cannot be read is told."""

    def tell() -> None:
        log.warning("start_waits", symbol=feed.symbol, why=feed.state().waiting_for)

    told = asyncio.get_running_loop().call_later(QUIET_S_MAX, tell)
    try:
        return await feed.end_positions()
    finally:
        told.cancel()
