"""Files that are gone from the producer's folders: their source positions are forgotten.

A position may only go when its file will not be read again: the file was missed at every look for an
hour, it has no other name now, and its folder holds other files. An empty folder proves nothing, it
may be a disk that is not mounted.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from config.seams import Clock
from store.connection import Store
from store.pruning import FORGOTTEN_MAX, Place, forget_positions, stored_places
from store.writer import Writer
from streams.choice import SIGNAL_FOLDER
from streams.files import candidate_of
from streams.folder import identify, list_names

JSONL = "jsonl"
# A rotation, an archiver or a person who moves a file away and back is done within this time.
GONE_S = 3_600.0
# Names remembered as missed, over all symbols, some 10 MiB; the rest have their turn later.
MISSED_MAX = 50_000


class GoneFiles:
    """Looks for positions without a file. The time of the first miss is in memory: a restart begins anew."""

    def __init__(
        self, store: Store, writer: Writer, clock: Clock, *, signals_dir: Path, symbols: Sequence[str]
    ) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._folder = signals_dir / SIGNAL_FOLDER
        self._symbols = symbols
        # Symbol, then name: the monotonic second of the look that missed the file first.
        self._missed: dict[str, dict[str, float]] = {}
        self.trouble: str | None = None

    async def forget(self) -> int:
        """Look once at every folder, and forget what was missed long enough; how many positions went.

        Raises FencedError; other faults of the store are told in `trouble`, and nothing is lost by them.
        """
        forgotten = 0
        try:
            for symbol in self._symbols:
                gone = await asyncio.to_thread(self._look, symbol)
                for start in range(0, len(gone), FORGOTTEN_MAX):
                    forgotten += await self._forget(symbol, gone[start : start + FORGOTTEN_MAX])
        except sqlite3.Error as error:
            self.trouble = (
                f"source positions of files that are gone stay for now ({error}): tried again later"
            )
        else:
            self.trouble = None
        return forgotten

    async def _forget(self, symbol: str, places: Sequence[Place]) -> int:
        if not self._writer.intact():
            return 0
        return await self._writer.call(lambda: forget_positions(self._store, symbol, JSONL, places))

    def _look(self, symbol: str) -> list[Place]:
        """The places whose files have been missed for GONE_S."""
        now_s = self._clock.monotonic_s()
        before = self._missed.pop(symbol, {})
        room = MISSED_MAX - sum(map(len, self._missed.values()))
        missed: dict[str, float] = {}
        gone: list[Place] = []
        for place in self._without_file(symbol):
            if len(missed) - len(gone) >= room:
                break
            since_s = missed[place.name] = before.get(place.name, now_s)
            if now_s - since_s >= GONE_S:
                gone.append(place)
        self._missed[symbol] = missed
        return gone

    def _without_file(self, symbol: str) -> Iterator[Place]:
        folder = f"{self._folder / symbol}"
        there = dict(list_names(folder))
        if not any(map(candidate_of, there)):
            return
        path = self._store.path
        own = {
            place.name for place in stored_places(path, symbol, JSONL) if place.inode == there.get(place.name)
        }
        # A file whose position stands under another name: it was renamed, and goes on from there.
        others = {identify(f"{folder}/{name}") for name in there.keys() - own}
        renamed = {(other.device, other.inode) for other in others if other is not None}
        for place in stored_places(path, symbol, JSONL):
            if place.name not in there and (place.device, place.inode) not in renamed:
                yield place
