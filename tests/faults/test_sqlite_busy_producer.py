"""A producer in another process that commits all the time, checkpoints included: every row once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from sqlite_producer import BTC, ETH, T0, times_of

from config import settings
from config.seams import SystemClock
from streams.sqlite import SqliteFeed, SqliteKind, SqliteSource

ROWS = 1_500
WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {root!r}]
from sqlite_producer import BTC, ETH, Producer
producer = Producer(Path({folder!r}), {kind!r})
producer.connection.execute("PRAGMA wal_autocheckpoint=20")
for start in range(0, {rows}, 5):
    producer.write(range(start, start + 5))
    producer.write(range(start, start + 5), ETH)
producer.close()
"""


@pytest.mark.parametrize("kind", ["sqlite_v1", "sqlite_v2"])
async def test_every_row_of_a_running_producer_comes_once_and_in_order(
    tmp_path: Path, kind: SqliteKind
) -> None:
    here = Path(__file__).resolve().parent
    code = WRITER.format(
        here=str(here), root=str(here.parents[1]), folder=str(tmp_path), kind=kind, rows=ROWS
    )
    limits = settings.Source(poll_ms=5)
    source = SqliteSource(tmp_path, kind=kind, settings=limits, clock=SystemClock(), once=False)
    await source.start()
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", code)

    found = await asyncio.wait_for(
        asyncio.gather(*(follow(source.feed(symbol, [])) for symbol in (BTC, ETH))), 120
    )

    assert await asyncio.wait_for(writer.wait(), 30) == 0
    await source.close()
    assert found == [[T0 + number for number in range(ROWS)]] * 2
    assert source.counters.resets == {"replaced": 0, "rebuilt": 0, "rescan": 0}


async def follow(feed: SqliteFeed) -> list[int]:
    found: list[int] = []
    while len(found) < ROWS:
        batch = await feed.read(64)
        found += times_of(batch.records)
        if not batch.records:
            await feed.wait()
    return found
