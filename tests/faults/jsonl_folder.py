"""A producer's folder for the JSONL tests: writes lines into real files, and tails them in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from config.settings import Source as SourceSettings
from streams.position import SourcePosition
from streams.segment import JsonlBatch
from streams.signal import Malformed, Signal
from streams.tail import Tail

SYMBOL = "BTCUSDT"
SETTINGS = SourceSettings(chunk_bytes=4_096, max_line_bytes=1_024)
# Ids start with their number, and the time of an id is this many milliseconds after the start.
FIRST_TS_MS = 1_763_220_000_000


class StandingClock:
    """Time that moves only when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def wall_ms(self) -> int:
        """Some fixed day."""
        return FIRST_TS_MS + int(self.now_s * 1_000)

    def monotonic_s(self) -> float:
        """What the test set."""
        return self.now_s

    def boot_s(self) -> float:
        """The same."""
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        """Let the time pass at once."""
        self.now_s += delay_s


def line(number: int, *, end: bytes = b"\n", symbol: str = SYMBOL) -> bytes:
    """One valid line whose signal id is `number`."""
    text = (
        f'{{"ts_ms":{FIRST_TS_MS + number},"symbol":"{symbol}","score":0.9,"confirm":true,'
        f'"gating":"ok","signal_id":"{number}","regime":"grün"}}'
    )
    return text.encode() + end


def lines(numbers: Iterable[int]) -> bytes:
    """Valid lines for all the numbers."""
    return b"".join(line(number) for number in numbers)


class SignalFolder:
    """The folder of one symbol, the clock, and the tails that read it."""

    def __init__(self, signals_dir: Path) -> None:
        self.signals_dir = signals_dir
        self.path = signals_dir / "ready" / "signal" / SYMBOL
        self.path.mkdir(parents=True)
        self.clock = StandingClock()

    def append(self, name: str, data: bytes) -> None:
        """What the producer does: open for append, write, close."""
        with (self.path / name).open("ab") as file:
            file.write(data)

    def tail(
        self,
        positions: Sequence[SourcePosition] = (),
        *,
        once: bool = False,
        settings: SourceSettings = SETTINGS,
    ) -> Tail:
        """A tail resumed from `positions`."""
        return Tail(self.signals_dir, SYMBOL, positions, settings=settings, clock=self.clock, once=once)


def ids(batch: JsonlBatch) -> list[int]:
    """The signal ids of a batch, in order; malformed records are left out."""
    return [int(record.signal_id) for record in batch.records if isinstance(record, Signal)]


def read(tail: Tail, limit: int = 1_000) -> list[int]:
    """The ids that one read hands out."""
    tail.pull(limit)
    return ids(tail.take(limit))


def read_all(tail: Tail) -> list[int]:
    """The ids of all reads until one is empty."""
    found: list[int] = []
    while True:
        tail.pull(100)
        batch = tail.take(100)
        if not batch.records:
            return found
        found += ids(batch)


def dead_letters(tail: Tail) -> list[Malformed]:
    """The malformed records that one read hands out."""
    tail.pull(1_000)
    return [record for record in tail.take(1_000).records if isinstance(record, Malformed)]


def commit_all(tail: Tail, into: dict[str, SourcePosition]) -> list[int]:
    """Read everything and remember the positions, as the ledger does."""
    found: list[int] = []
    while True:
        tail.pull(100)
        batch = tail.take(100)
        if not batch.records:
            return found
        found += ids(batch)
        into.update({position.name: position for position in batch.positions(0, len(batch.records))})
