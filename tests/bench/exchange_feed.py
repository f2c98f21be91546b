"""A producer that appends one signal at a time, and between whiles takes the yardstick.

Run as `exchange_feed.py SIGNALS COUNT RAW_PORT`; prints the moment before each append by the signal's time,
and the seconds of as many fdatasyncs and raw HTTP round trips, all paced alike and in turn.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

import signals_made

PACE_S = 0.075
SYNCED_BYTES = 40_960
REQUEST = (
    b"POST /fapi/v1/order HTTP/1.1\r\nHost: 127.0.0.1\r\nX-MBX-APIKEY: loopback-key\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 280\r\n\r\n" + b"x" * 280
)


class Feed:
    """One run: signals of all symbols in turn, each followed by one fdatasync and one round trip."""

    def __init__(self, signals: Path) -> None:
        self._signals = signals
        self._generator = random.Random(7)
        self._files: dict[str, int] = {}
        self._probe = os.open(signals / "probe", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.appended: list[tuple[int, int]] = []
        self.syncs_s: list[float] = []
        self.trips_s: list[float] = []

    async def run(self, count: int, raw_port: int) -> None:
        """`count` signals and as many yardsticks."""
        reader, writer = await asyncio.open_connection("127.0.0.1", raw_port)
        for number in range(count):
            await self._pause()
            self._append(signals_made.SYMBOLS[number % len(signals_made.SYMBOLS)])
            await self._pause()
            self._sync()
            await self._pause()
            await self._trip(reader, writer)
        writer.close()

    async def _pause(self) -> None:
        await asyncio.sleep(PACE_S * self._generator.uniform(0.67, 1.33))

    def _append(self, symbol: str) -> None:
        ts_ms = time.time_ns() // 1_000_000
        line = next(
            line for line in signals_made.lines(symbol, 50, start_ms=ts_ms, step_ms=0) if ELIGIBLE in line
        )
        path = signals_made.hour_file(self._signals, symbol, ts_ms)
        if symbol not in self._files:
            self._files[symbol] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        at_ns = time.monotonic_ns()
        os.write(self._files[symbol], line.encode())
        self.appended.append((ts_ms, at_ns))

    def _sync(self) -> None:
        began_s = time.perf_counter()
        os.write(self._probe, bytes(SYNCED_BYTES))
        os.fdatasync(self._probe)
        self.syncs_s.append(time.perf_counter() - began_s)

    async def _trip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began_s = time.perf_counter()
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2]))
        self.trips_s.append(time.perf_counter() - began_s)


ELIGIBLE = '"confirm":true'

if __name__ == "__main__":
    feed = Feed(Path(sys.argv[1]))
    asyncio.run(feed.run(int(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(
        json.dumps({"appended": feed.appended, "syncs_s": feed.syncs_s, "trips_s": feed.trips_s})
    )
