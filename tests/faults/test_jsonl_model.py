"""The tail against a model of its folder: whatever the producer does, no whole line is lost.

Promised: every valid line that stays visible comes out at least once, also across crashes; within one
run and without a counted reset none comes out twice; lines of one file come out in their order.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from jsonl_folder import SETTINGS, SignalFolder, ids, line

from streams.position import SourcePosition

NAMES = [f"signals_20251115_16{minute:02d}.jsonl" for minute in range(4)]
NOISE = [b"\n", b"\r\n", b"{broken\n", b"\0\0\0", b"x" * 5_000 + b"\n", b" \n\n", b"\0" * 6_000]
names = st.sampled_from(NAMES)


class TailMachine(RuleBasedStateMachine):
    """A producer that appends, rotates, truncates and deletes; a worker that reads, commits and crashes."""

    @initialize()
    def begin(self) -> None:
        """An empty folder, and a tail that knows nothing."""
        self.base = Path(tempfile.mkdtemp())
        self.folder = SignalFolder(self.base)
        self.next_number = 0
        # What the model says of each file: the numbers of its whole lines, in order, and an unfinished rest.
        self.whole: dict[str, list[int]] = {}
        self.rest: dict[str, tuple[int, bytes]] = {}
        self.durable: dict[str, SourcePosition] = {}
        self.committed: set[int] = set()
        self.may_be_lost: set[int] = set()
        self._run()

    def _run(self) -> None:
        self.tail = self.folder.tail(list(self.durable.values()))
        self.seen: list[int] = []
        self.copied = False

    def teardown(self) -> None:
        """At the end all of it is read: with quiet time for last lines, and by a second worker too."""
        if not hasattr(self, "base"):
            return
        try:
            self._drain()
            visible = {number for numbers in self.whole.values() for number in numbers}
            assert visible <= self.committed | set(self.seen), "a whole line was lost"
            self._check_order()
            self._run()
            self._drain()
            assert visible <= self.committed, "a whole line was lost across a restart"
        finally:
            shutil.rmtree(self.base)

    def _drain(self) -> None:
        for _ in range(3 + self.tail.catalog.resting):
            for name in list(self.rest):
                self._finish(name)
            while self._read(1_000, 1_000):
                pass
            self.folder.clock.now_s += SETTINGS.quiet_ms / 1_000

    def _check_order(self) -> None:
        first_seen = {number: index for index, number in reversed(list(enumerate(self.seen)))}
        for numbers in self.whole.values():
            places = [first_seen[number] for number in numbers if number in first_seen]
            if not self.tail.catalog.resets.total() and not self.copied:
                assert places == sorted(places), "lines of one file came out of order"

    @invariant()
    def nothing_comes_twice_without_a_reset(self) -> None:
        """Within one run a number is handed out once, unless a reset was counted or a file was copied."""
        if hasattr(self, "tail") and not self.tail.catalog.resets.total() and not self.copied:
            twice = [number for number, count in Counter(self.seen).items() if count > 1]
            assert not twice, twice

    def _finish(self, name: str) -> None:
        number, rest = self.rest.pop(name)
        self.folder.append(name, rest)
        self.whole.setdefault(name, []).append(number)

    @rule(name=names, count=st.integers(1, 30))
    def append_lines(self, name: str, count: int) -> None:
        """Whole lines, behind the rest of an unfinished one."""
        if name in self.rest:
            self._finish(name)
        numbers = range(self.next_number, self.next_number + count)
        self.next_number += count
        self.folder.append(name, b"".join(line(number) for number in numbers))
        self.whole.setdefault(name, []).extend(numbers)

    @rule(name=names, cut=st.integers(1, 130))
    def append_part_of_a_line(self, name: str, cut: int) -> None:
        """A line cut anywhere, also inside a character; nothing but its rest follows it."""
        if name in self.rest:
            self._finish(name)
        text = line(self.next_number)
        cut = min(cut, len(text) - 1)
        self.folder.append(name, text[:cut])
        self.rest[name] = (self.next_number, text[cut:])
        self.next_number += 1

    @rule(name=names, noise=st.sampled_from(NOISE))
    def append_noise(self, name: str, noise: bytes) -> None:
        """Bytes that are no record."""
        if name not in self.rest:
            self.folder.append(name, noise)

    @rule(limit=st.integers(1, 60), commit=st.integers(0, 60))
    def read_some(self, limit: int, commit: int) -> None:
        """One read, of which a prefix is committed; then the worker goes on or, uncommitted, crashes."""
        if not self._read(limit, commit):
            return

    def _read(self, limit: int, commit: int) -> bool:
        self.tail.pull(limit, self.hints())
        batch = self.tail.take(limit)
        assert len(batch.records) <= limit
        self.seen += ids(batch)
        end = min(commit, len(batch.records))
        middle = end // 2
        for start, stop in ((0, middle), (middle, end)):
            for position in batch.positions(start, stop):
                self.durable[position.name] = position
        for record in batch.records[:end]:
            if hasattr(record, "signal_id"):
                self.committed.add(int(record.signal_id))
        if end < len(batch.records):
            # The lane takes a prefix only when it stops for good: the rest is read again.
            self._run()
        return bool(batch.records)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0]))
    def time_passes(self, seconds: float) -> None:
        """Lines grow quiet."""
        self.folder.clock.now_s += seconds

    @rule()
    def crash(self) -> None:
        """Everything in memory is gone."""
        self._run()

    def hints(self) -> list[str]:
        """Every file is hot, so none needs a hint."""
        return []

    @rule(name=names)
    def rotate(self, name: str) -> None:
        """logrotate: .2 is dropped, .1 becomes .2, the file becomes .1."""
        if name in self.rest:
            self._finish(name)
        self._drop(f"{name}.2")
        for old, new in ((f"{name}.1", f"{name}.2"), (name, f"{name}.1")):
            if (self.folder.path / old).exists():
                (self.folder.path / old).rename(self.folder.path / new)
                if old in self.whole:
                    self.whole[new] = self.whole.pop(old)

    @rule(name=names)
    def copytruncate(self, name: str) -> None:
        """logrotate's other way; the copy is another file, so its lines come again."""
        if name in self.rest or not (self.folder.path / name).exists():
            return
        self._drop(f"{name}.1")
        shutil.copy(self.folder.path / name, self.folder.path / f"{name}.1")
        os.truncate(self.folder.path / name, 0)
        self.copied = True
        if name in self.whole:
            self.whole[f"{name}.1"] = self.whole.pop(name)

    @rule(name=names)
    def truncate(self, name: str) -> None:
        """What was not read is gone, and that is not our doing."""
        if (self.folder.path / name).exists():
            os.truncate(self.folder.path / name, 0)
            self._forget(name)

    @rule(name=names)
    def delete(self, name: str) -> None:
        """The same, with the name."""
        self._drop(name)

    def _drop(self, name: str) -> None:
        (self.folder.path / name).unlink(missing_ok=True)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self.whole.pop(name, None)
        self.rest.pop(name, None)


class RestingTailMachine(TailMachine):
    """The same with files that rest after a crash: all but the last one, looked at one in a round."""

    @initialize()
    def begin(self) -> None:
        """As before, with smaller numbers."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("streams.catalog.HOT_FILES", 1)
        self.patch.setattr("streams.catalog.ROUSED_FILES_MAX", 1)
        super().begin()

    def hints(self) -> list[str]:
        """What the sweep tells of: it goes over the files that rest no more."""
        return [file.name for file in self.tail.catalog.order]

    def teardown(self) -> None:
        """As before."""
        super().teardown()
        if hasattr(self, "patch"):
            self.patch.undo()


TestTail = TailMachine.TestCase
TestRestingTail = RestingTailMachine.TestCase
TestRestingTail.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTail.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
