"""A projector on a real store, driven by hand."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rig import rows as rig
from rig.floor import Crash

from config.seams import Clock, arm_crash_points
from store.projector import Projector
from store.records import Receipt, Share
from store.writer import Writer


class Outputs:
    """One life of a projector: from opening the store to closing it."""

    def __init__(self, folder: Path, clock: Clock, *, with_skipped: bool = False) -> None:
        self.folder = folder
        self.ledger = rig.open_ledger(folder, clock)
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.writer = Writer(
            self.ledger, executor=self.executor, clock=clock, on_commit=lambda _: self.projector.wake()
        )
        self.silences: list[float] = []
        self.projector = Projector(
            folder, self.writer, clock, with_skipped=with_skipped, silent_for=self.silences.append
        )

    async def __aenter__(self) -> Outputs:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.executor.shutdown(wait=True)
        self.ledger._connection.close()
        rig.store_of(self.ledger).lock.release()

    async def commit(self, *shares: Share) -> list[Receipt]:
        """Write shares as lanes would."""
        return [await self.writer.commit(share) for share in shares]

    async def skips(self, *numbers: int, symbol: str = rig.SYMBOL, **changes: Any) -> None:
        """Write final rows."""
        new = [rig.skip(number, symbol=symbol, **changes) for number in numbers]
        await self.commit(rig.share(*new, symbol=symbol))

    async def drain(self) -> None:
        """Write out everything."""
        await self.projector.drain()


def files(folder: Path) -> dict[str, bytes]:
    """Every output file and its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.jsonl"))
        if path.is_file()
    }


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """The lines of one output file; each must be whole and valid."""
    text = (folder / name).read_text()
    assert text == "" or text.endswith("\n")
    # Not splitlines(): a line of JSON may hold U+2028.
    return [json.loads(line, parse_float=str) for line in text.split("\n")[:-1]]


def ids(folder: Path) -> list[str]:
    """The signal ids of all hourly lines of the first symbol, in order."""
    names = sorted(name for name in files(folder) if name.startswith(f"{rig.SYMBOL}/"))
    return [line["signal_id"] for name in names for line in lines(folder, name)]


def die_at(name: str, passage: int) -> None:
    """Die at the `passage`-th time at a crash point, until disarmed."""
    left = passage

    def die(passed: str) -> None:
        nonlocal left
        if passed == name:
            left -= 1
            if left == 0:
                raise Crash(name)

    arm_crash_points(die)
