"""A crowd of bad clients in a process of its own: idle, slow, of another name, without the right token.

Run as `http_crowd.py`; a line with a port on standard input sends everybody there, an empty line sends
everybody home. The end of the input ends the process, which then prints by port how often each kind of
client got each answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
from collections import Counter, defaultdict
from contextlib import suppress

IDLE, SLOW, STORMS = 1_000, 50, 8
SLOW_BYTE_S = 0.3
AGAIN_S = 3.0
DESCRIPTORS = 4_096
LOCAL = b"Host: localhost\r\n"
REQUESTS = {
    "bad_host": b"GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "bad_token": b"POST /halt HTTP/1.1\r\n"
    + LOCAL
    + b"Authorization: Bearer "
    + b"wrong-token-" * 4
    + b'\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"why": "x"} ',
    "garbage": b"\x16\x03\x01\x02\x00nonsense\r\n\r\n",
    "long_header": b"GET / HTTP/1.1\r\n" + LOCAL + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
    "long_body": b"POST /halt HTTP/1.1\r\n" + LOCAL + b"Content-Length: 10000000\r\n\r\n" + b"x" * 50_000,
    "pipelined": 20 * (b"GET /nothing HTTP/1.1\r\n" + LOCAL + b"\r\n"),
}


class Crowd:
    """All of them, and what they were answered."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._random = random.Random(7)
        self.answers: dict[int, Counter[str]] = defaultdict(Counter)

    def go_to(self, port: int) -> None:
        """Everybody comes at once."""
        kinds = [self._again(port, "idle", b"") for _ in range(IDLE)]
        kinds += [self._again(port, "slow", b"GET /healthz HTTP/1.1\r\nX: ") for _ in range(SLOW)]
        kinds += [self._again(port, kind, text) for kind, text in REQUESTS.items() for _ in range(STORMS)]
        self._tasks = [asyncio.create_task(kind) for kind in kinds]

    async def stop(self) -> None:
        """Everybody leaves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _again(self, port: int, kind: str, says: bytes) -> None:
        while True:
            code = await self._once(port, kind, says)
            self.answers[port][f"{kind} {code}"] += 1
            if kind in ("idle", "slow"):
                await asyncio.sleep(self._random.uniform(0.5, 1.5) * AGAIN_S)

    async def _once(self, port: int, kind: str, says: bytes) -> str:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(AGAIN_S)
            return "no connection"
        drip = asyncio.create_task(_drip(writer)) if kind == "slow" else None
        try:
            writer.write(says)
            words = (await reader.read(65_536)).split(maxsplit=2)
            return words[1].decode() if len(words) == 3 else "closed"
        except OSError:
            return "reset"
        finally:
            if drip is not None:
                drip.cancel()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _drip(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"y")
        await asyncio.sleep(SLOW_BYTE_S)


async def run() -> dict[int, Counter[str]]:
    """Follow the lines of standard input to their end."""
    crowd, loop = Crowd(), asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await crowd.stop()
        if line.strip():
            crowd.go_to(int(line))
    await crowd.stop()
    return crowd.answers


if __name__ == "__main__":
    # What is measured is the worker, and not how the kernel divides two cores.
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    sys.stdout.write(json.dumps(asyncio.run(run())))
