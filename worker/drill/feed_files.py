"""The feed's files: appended to, torn, moved aside, cut and replaced, as producers and log rotation do.

No line is ever taken away before it stands somewhere else below a name that is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from worker.drill.feed_list import Entry, FeedList, FeedPlan

NAME = {True: "signals_%Y%m%d_%H%M.jsonl", False: "signals-%Y%m%d-%H.jsonl"}
PERIOD_MS = {True: 60_000, False: 3_600_000}
JUNK = ('{"ts_ms":12', "no signal at all", '{"symbol":"XYZ"}', "[[[[[[")


class Files:
    """`ready/signal/{SYMBOL}/`, one file for each symbol and minute or hour of signal time."""

    def __init__(self, plan: FeedPlan, told: FeedList, dice: Random) -> None:
        self._plan = plan
        self._list = told
        self._dice = dice
        self._folder = Path(plan.into) / "ready" / "signal"
        self._current: dict[str, Path] = {}
        self._last: dict[str, bytes] = {}
        self._moves = 0
        self._torn: tuple[Path, bytes] | None = None

    def resume(self) -> None:
        """See whether the last thing that the former life announced was written."""
        last = self._list.former[-1] if self._list.former else None
        if last is None or last["kind"] not in ("signal", "malformed") or "line" not in last:
            return
        path = self._folder / last["place"]
        found = path.read_bytes()[last["offset"] :] if path.exists() else b""
        line = last["line"].encode()
        if found.startswith(line):
            if found == line:
                self._append(path, b"\n")
            return
        raw = found.split(b"\n")[0]
        entries: list[Entry] = (
            [{"kind": "void", "number": last["number"]}] if last["kind"] == "signal" else []
        )
        if last["kind"] == "malformed":
            # What was announced is not what stands there: a part of it, or nothing.
            entries.append({"kind": "void_malformed", "raw": last["raw"]})
        if raw:
            entries.append({"kind": "malformed", "raw": raw.decode("utf-8", "replace")})
        if entries:
            self._list.note(*entries)
        if raw:
            self._append(path, b"\n")

    def write(self, number: int, symbol: str, ts_ms: int, line: str, entry: Entry) -> None:
        """One signal, and perhaps a habit besides."""
        if self._dice.random() < self._plan.malformed:
            self._write_malformed(symbol, number)
        path = self._path(symbol, ts_ms)
        self._announced(path, line, entry)
        self._put(path, line.encode() + b"\n")
        self._current[symbol], self._last[symbol] = path, line.encode()
        if self._dice.random() < self._plan.twice:
            # A line written twice is one signal: it is not announced again.
            self.commit()
            self._list.note({"kind": "habit", "what": "wrote a line twice"})
            self._append(path, line.encode() + b"\n")
        if self._dice.random() < self._plan.moves:
            self._move(path)

    def commit(self) -> None:
        """Whole lines were written at once; the rest of a torn one follows."""
        if self._torn is not None:
            path, rest = self._torn
            self._torn = None
            self._append(path, rest)

    def close(self) -> None:
        """End a torn line."""
        self.commit()

    def _announced(self, path: Path, line: str, entry: Entry) -> None:
        self.commit()
        offset = path.stat().st_size if path.exists() else 0
        place = str(path.relative_to(self._folder))
        self._list.note({**entry, "place": place, "offset": offset, "line": line})

    def _write_malformed(self, symbol: str, number: int) -> None:
        path = self._current.get(symbol)
        if path is None:
            return
        raw = f"{self._dice.choice(JUNK)} {number}"
        self._announced(path, raw, {"kind": "malformed", "raw": raw})
        self._append(path, raw.encode() + b"\n")

    def _put(self, path: Path, whole: bytes) -> None:
        """Write it, now and then in two pieces with the rest later: a kill between them tears the line."""
        if self._dice.random() >= self._plan.torn:
            self._append(path, whole)
            return
        cut = self._dice.randint(1, len(whole) - 1)
        self._append(path, whole[:cut])
        self._torn = (path, whole[cut:])

    def _append(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(data)

    def _move(self, path: Path) -> None:
        """Rotate the file away, cut it behind a copy, or put a new file in its place."""
        self.commit()
        self._moves += 1
        aside = path.with_name(f"{path.name}.{len(list(path.parent.glob(path.name + '.*'))) + 1}")
        moves: tuple[tuple[str, Callable[[], None]], ...] = (
            ("renamed", lambda: os.rename(path, aside)),
            ("copied and cut", lambda: _copy_and_cut(path, aside)),
            ("replaced by a copy", lambda: _copy(path, path)),
        )
        what, move = self._dice.choice(moves)
        # Announced before it is done: whatever was announced earlier stands in the source by now.
        self._list.note({"kind": "habit", "what": f"{what}: {path.name}"})
        move()

    def _path(self, symbol: str, ts_ms: int) -> Path:
        minute = self._plan.minute_files
        begin_ms = ts_ms // PERIOD_MS[minute] * PERIOD_MS[minute]
        return self._folder / symbol / datetime.fromtimestamp(begin_ms // 1_000, UTC).strftime(NAME[minute])


def _copy(source: Path, target: Path) -> None:
    """A whole copy appears at once; half of one never does."""
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(source.read_bytes())
    os.rename(part, target)


def _copy_and_cut(path: Path, aside: Path) -> None:
    _copy(path, aside)
    os.truncate(path, 0)
