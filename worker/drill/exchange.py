"""The practice exchange as a process of its own: on loopback, its journal on disk, its lies by plan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from config.seams import Clock
from worker.drill.process import PATIENCE_S, DrillError, Process, program

Rule = dict[str, Any]

HOST = "127.0.0.1"
SECRET = "drill-secret"  # a word between two processes on loopback
SECRET_VARIABLE = "DRILL_EXCHANGE_SECRET"
ANSWER_S_MAX = 10.0
ANSWER_BYTES_MAX = 1 << 20


class ExchangeProcess:
    """Keeps its port and its journal over its deaths."""

    def __init__(self, folder: Path, seed: int, key: str, symbols: Sequence[str], clock: Clock) -> None:
        self.journal = folder / "exchange-journal.jsonl"
        self.key = key
        self.port = 0
        self._folder = folder
        self._seed = seed
        self._symbols = symbols
        self._clock = clock
        self._lives = 0
        self._faults = folder / "exchange-faults.json"
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Its REST address: loopback, and nothing else."""
        return f"http://{HOST}:{self.port}"

    async def start(self, rules: Sequence[Rule]) -> None:
        """Listen, with these rules in force; raises DrillError when it does not."""
        self._lives += 1
        self._faults.write_text(json.dumps(list(rules), indent=1))
        log = self._folder / f"exchange-{self._lives:03}.log"
        command = program(
            "exchange", "--port", str(self.port), "--journal", str(self.journal),
            "--faults", str(self._faults), "--price", "walk", "--seed", str(self._seed + self._lives),
            "--symbols", ",".join(self._symbols), "--key", self.key, "--secret-env", SECRET_VARIABLE,
        )  # fmt: skip
        self._process = Process(command, log, self._folder, **{SECRET_VARIABLE: SECRET})
        line = await self._process.line_with("exchange_ready", self._clock, PATIENCE_S)
        if line is None:
            raise DrillError(f"the practice exchange does not listen; it said {self._process.tail()}")
        self.port = int(json.loads(line.partition(" ")[2])["port"])

    async def lie(self, rules: Sequence[Rule]) -> None:
        """These rules from now on; none: the truth."""
        status, body = await ask(self.port, "POST", "/control/faults", json.dumps(list(rules)).encode())
        if status != 200:
            raise DrillError(f"the practice exchange refuses a fault plan: {body[:300]!r}")

    def kill(self) -> None:
        """SIGKILL; may be repeated."""
        if self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        """An orderly end."""
        if self._process is not None and self._process.code is None:
            await self._process.stop(self._clock)

    def entries(self) -> list[Rule]:
        """The whole lines of the journal."""
        if not self.journal.exists():
            return []
        return [msgspec.json.decode(line) for line in self.journal.read_bytes().split(b"\n")[:-1]]


async def ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of one request to loopback; raises OSError or TimeoutError when none comes."""
    async with asyncio.timeout(ANSWER_S_MAX):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            answer = await reader.read(ANSWER_BYTES_MAX)
            while more := await reader.read(ANSWER_BYTES_MAX):
                answer += more
        finally:
            writer.close()
    words = answer.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionError(f"no HTTP answer on port {port}")
    return int(words[1]), answer.partition(b"\r\n\r\n")[2]
