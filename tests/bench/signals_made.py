"""Signals in the producer's JSONL shape, made fast: about 220 bytes each, four of five eligible."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

SYMBOLS = ("BTCUSDT", "ETHUSDT")
FIRST_MS = 1_763_225_940_000
STEP_MS = 5


def lines(symbol: str, count: int, *, start_ms: int, step_ms: int = STEP_MS) -> Iterator[str]:
    """`count` signals of one symbol; the same arguments give the same lines."""
    generator = random.Random(f"{symbol}{start_ms}")
    draw, between, normal = generator.random, generator.uniform, generator.gauss
    for number in range(count):
        confirmed = draw() < 0.8
        score = between(0.6, 3.0) if draw() < 0.5 else between(-3.0, -0.6)
        confirm, gating, reason = ("true", 1, "") if confirmed else ("false", 0, "warmup")
        yield (
            f'{{"ts_ms":{start_ms + number * step_ms},"symbol":"{symbol}","score":{score!r},'
            f'"z_ofi":{normal(0.0, 1.0)!r},"z_cvd":{normal(0.0, 1.0)!r},"regime":"active","div_type":null,'
            f'"confirm":{confirm},"gating":{gating},"guard_reason":"{reason}","run_id":"r42"}}\n'
        )


def folder_of(signals: Path, symbol: str) -> Path:
    """Where the producer writes the signals of a symbol."""
    folder = signals / "ready" / "signal" / symbol
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hour_file(signals: Path, symbol: str, start_ms: int) -> Path:
    """The hourly file for signals that begin at `start_ms`."""
    hour = datetime.fromtimestamp(start_ms / 1000, UTC).strftime("%Y%m%d-%H")
    return folder_of(signals, symbol) / f"signals-{hour}.jsonl"


def write_backlog(signals: Path, count: int, *, start_ms: int = FIRST_MS) -> None:
    """`count` signals over all symbols, one hourly file each."""
    for symbol in SYMBOLS:
        with open(hour_file(signals, symbol, start_ms), "a") as file:
            file.writelines(lines(symbol, count // len(SYMBOLS), start_ms=start_ms))


def write_finished_files(signals: Path, files: int, *, start_ms: int, lines_each: int = 4) -> None:
    """`files` minute files over all symbols, as a producer leaves them behind."""
    for symbol in SYMBOLS:
        folder = folder_of(signals, symbol)
        for minute in range(files // len(SYMBOLS)):
            at_ms = start_ms + minute * 60_000
            name = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("signals_%Y%m%d_%H%M.jsonl")
            text = "".join(lines(symbol, lines_each, start_ms=at_ms, step_ms=1_000))
            (folder / name).write_text(text)
