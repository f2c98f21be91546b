"""The plain way: one aiosqlite transaction a signal. Same tables, same lines, nothing batched.

Run as `per_signal.py SIGNALS OUTPUT COUNT [reserve-first]`; prints the seconds as JSON. With reserve-first
an order is on disk before it would be sent, as the worker's are, which takes a second transaction.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import aiofiles
import aiosqlite
from straight_line import EVENT, EXECUTION, LANE, Row, dumps, open_database

SETTLE = "UPDATE executions SET state = ?, status = ?, exec_ts_ms = ? WHERE id = ?"


async def run(signals: Path, output: Path, count: int, *, reserve_first: bool) -> None:
    """`count` signals of the first file, each committed before the next one is read."""
    open_database(output).close()
    path = min(signals.glob("ready/signal/*/*.jsonl"))
    place = str(path.relative_to(signals))
    lines = path.read_bytes().splitlines(keepends=True)[:count]
    async with (
        aiosqlite.connect(output / "executions.db", isolation_level=None) as connection,
        aiofiles.open(output / "lines.jsonl", "ab") as out,
    ):
        await connection.execute("PRAGMA synchronous=FULL")
        offset = 0
        began_s = time.perf_counter()
        for number, line in enumerate(lines, 1):
            row = Row(line, number, place, offset, time.time_ns() // 1_000_000)
            offset += len(line)
            await connection.execute("BEGIN IMMEDIATE")
            if reserve_first and row.ordered:
                await connection.execute(
                    EXECUTION, (*row.values[:5], "reserved", "pending", None, *row.values[8:])
                )
                await connection.executemany(EVENT, row.events[:1])
                await connection.execute(LANE, (path.parent.name, row.ts_ms, row.ts_ms))
                await connection.execute("COMMIT")
                await connection.execute("BEGIN IMMEDIATE")
                await connection.execute(SETTLE, (*row.values[5:8], number))
                await connection.executemany(EVENT, row.events[1:])
            else:
                await connection.execute(EXECUTION, row.values)
                await connection.executemany(EVENT, row.events)
                await connection.execute(LANE, (path.parent.name, row.ts_ms, row.ts_ms))
            await connection.execute("COMMIT")
            await out.write(row.line.encode() + b"\n")
        await out.flush()
        seconds = time.perf_counter() - began_s
    sys.stdout.write(dumps({"seconds": seconds, "signals": len(lines)}))


if __name__ == "__main__":
    asyncio.run(
        run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), reserve_first="reserve-first" in sys.argv)
    )
