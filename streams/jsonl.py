"""The JSONL source: a folder of rotating files per symbol, tailed.

Hints say when to look, stat and read say what is new (`streams.tail`). One ticker serves all feeds:
every `poll_ms` it stats each folder and its newest two files, on the event loop, because a thread hop
costs more than the stats; every `rescan_ms` it stats the hot files and a slice of all the others in a
thread. Twenty wake-ups a second alone cost half a percent of a core, so while inotify tells of every
change the ticker looks `CALM_POLLS` times more seldom, until a look finds what no hint had told of.
So a lost hint costs at most `CALM_POLLS * poll_ms` for the files in use, `rescan_ms` for the hot ones,
and one turn of the sweep (128 files per `rescan_ms`) for a late append to a cold one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from aiofiles.base import wrap

from config.seams import Clock
from config.settings import Source as SourceSettings
from streams.catalog import HOT_FILES
from streams.files import candidate_of
from streams.folder import FolderSign, identify, list_names, sign_of
from streams.position import SourcePosition
from streams.segment import SOURCE_KIND, JsonlBatch
from streams.source import FeedState, SourceCounters
from streams.tail import Tail, counts_of
from streams.tailed_file import TailedFile
from streams.wake import Watcher, open_watcher

NEWEST_FILES = 2
CALM_POLLS = 5
# More named files than these at once are a backlog, and are read in a thread.
HINTS_ON_LOOP_MAX = 2
# After a change that no hint told of (a network mount, say), hints are not relied on for this long.
DISTRUST_S = 60.0
# 128 stats cost less than a millisecond; 5 000 finished files are all looked at within 40 rescans.
SWEEP_FILES_MAX = 128
HOUR_MS = 3_600_000


class JsonlFeed:
    """The signals of one symbol's folder; see `streams.source.Feed`."""

    def __init__(self, tail: Tail, clock: Clock, *, poll_s: float) -> None:
        self.tail = tail
        self._clock = clock
        self._poll_s = poll_s
        # None: anything may have changed.
        self._hints: set[str] | None = None
        self._woken = asyncio.Event()
        self._hop: asyncio.Future[None] | None = None
        self._last_read_ms = 0
        self._pull = wrap(tail.pull)
        self._ends = wrap(tail.ends)
        # Set by the source: whether somebody watches and ticks for this feed.
        self.ticked: asyncio.Task[None] | None = None

    @property
    def symbol(self) -> str:
        """The symbol, upper case."""
        return self.tail.symbol

    @property
    def idle(self) -> bool:
        """Whether nobody reads, and nobody was told to."""
        return not self._woken.is_set() and (self._hop is None or self._hop.done())

    async def read(self, limit: int) -> JsonlBatch:
        """See `Feed.read`. One thread hop, none while records of an earlier one are left, and none for
        what a hint has just named: those bytes were written a moment ago and come from memory, while a
        hop there and back costs more than reading them.

        May be cancelled: what the hop reads is handed out by the next call.
        """
        assert limit > 0, limit
        while True:
            if self._hop is not None:
                await self._land(self._hop)
            if self.tail.ready:
                break
            self._woken.clear()
            hints, self._hints = self._hints, set()
            if hints and len(hints) <= HINTS_ON_LOOP_MAX and not self.tail.unfinished:
                self.tail.pull(limit, hints)
            else:
                self._hop = asyncio.ensure_future(self._pull(limit, hints))
                await self._land(self._hop)
            if self.tail.ready or not self.tail.unfinished:
                break
        batch = self.tail.take(limit)
        if batch.records:
            self._last_read_ms = self._clock.wall_ms()
        return batch

    async def _land(self, hop: asyncio.Future[None]) -> None:
        # Shielded: the thread cannot be stopped, and a second one must not enter the tail meanwhile.
        await asyncio.shield(hop)
        self._hop = None

    async def wait(self) -> None:
        """See `Feed.wait`; without a started source it is the poll interval."""
        if self.tail.ready:
            return
        if self.ticked is None:
            await self._clock.sleep(self._poll_s)
            return
        await self._woken.wait()
        if self.ticked.done() and not self.ticked.cancelled():
            self.ticked.result()

    async def end_positions(self) -> Sequence[SourcePosition]:
        """See `Feed.end_positions`: the ends of whole lines. This feed stays where it is."""
        if self._hop is not None:
            await self._land(self._hop)
        return await self._ends()

    def state(self) -> FeedState:
        """See `Feed.state`."""
        fault = self._fault()
        waiting_for = fault
        catalog = self.tail.catalog
        # Before the first look there is no sign either, and the recovery at a start may take its time.
        if fault is None and catalog.sign is None and not os.path.isdir(catalog.folder):
            waiting_for = f"folder {catalog.folder} does not exist yet: the producer makes it"
        return FeedState(waiting_for, self.tail.backlog_bytes, self._last_read_ms, fault)

    def _fault(self) -> str | None:
        """What is there and cannot be read, with what to do."""
        catalog = self.tail.catalog
        if catalog.sign is None:
            if os.path.isfile(catalog.folder):
                return f"{catalog.folder} is a file, must be a folder: move it away"
            return None
        if not os.access(catalog.folder, os.R_OK | os.X_OK):
            return f"folder {catalog.folder} cannot be listed: let this user read it"
        # A copy in one step: the thread of a hop may be at work in the set.
        closed = sorted(file.name for file in tuple(catalog.work) if file.retry_s is not None)
        if not closed:
            return None
        if len(closed) == 1:
            return f"{catalog.folder}/{closed[0]} cannot be read: let this user read it"
        return (
            f"{catalog.folder}/{closed[0]} and {len(closed) - 1} more cannot be read: let this user read them"
        )

    def hint(self, name: str | None) -> None:
        """The file called `name`, or with None anything, may have changed."""
        if name is None:
            self._hints = None
        elif self._hints is not None:
            self._hints.add(name)
        self._woken.set()

    def wake(self) -> None:
        """Let `wait` return."""
        self._woken.set()

    async def close(self) -> None:
        """Wait for a hop that is still running, and let `wait` return."""
        if self._hop is not None:
            await self._land(self._hop)
        self._woken.set()


class JsonlSource:
    """See `streams.source.Source`. Under `once` nothing is watched."""

    kind = SOURCE_KIND

    def __init__(self, signals_dir: Path, *, settings: SourceSettings, clock: Clock, once: bool) -> None:
        self._signals_dir = signals_dir
        self._settings = settings
        self._clock = clock
        self._once = once
        self._feeds: dict[str, JsonlFeed] = {}
        self._past_tails: list[Tail] = []
        self._watcher: Watcher | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._calm_from_s = 0.0
        self._swept: dict[str, int] = {}
        self._watched: dict[str, tuple[int, int] | None] = {}

    @property
    def counters(self) -> SourceCounters:
        """See `Source.counters`: the sums over all feeds as they are now."""
        tails = [*self._past_tails, *(feed.tail for feed in self._feeds.values())]
        resets, ignored = counts_of(tails)
        return SourceCounters(resets=resets, ignored_files=ignored)

    async def start(self) -> None:
        """See `Source.start`."""
        if self._once or self._ticker is not None:
            return
        self._watcher = open_watcher(self._hint)
        self._ticker = asyncio.get_running_loop().create_task(self._tick_for_ever())
        self._ticker.add_done_callback(lambda _: self._wake_all())
        for feed in self._feeds.values():
            self._attend(feed)

    def feed(self, symbol: str, positions: Sequence[SourcePosition]) -> JsonlFeed:
        """See `Source.feed`; a second feed of a symbol replaces the first."""
        tail = Tail(
            self._signals_dir,
            symbol,
            positions,
            settings=self._settings,
            clock=self._clock,
            once=self._once,
        )
        if symbol in self._feeds:
            self._past_tails.append(self._feeds[symbol].tail)
        feed = JsonlFeed(tail, self._clock, poll_s=self._settings.poll_ms / 1_000)
        self._feeds[symbol] = feed
        if self._ticker is not None:
            self._attend(feed)
        return feed

    def reachable_since_ms(self, symbol: str) -> int | None:
        """See `Source.reachable_since_ms`: an hour before the earliest time in a file's name."""
        names = list_names(str(self._signals_dir / "ready" / "signal" / symbol))
        times = [candidate.time_ms for name, _ in names if (candidate := candidate_of(name)) is not None]
        known = [time_ms for time_ms in times if time_ms is not None]
        if not known or len(known) < len(times):
            return None
        return min(known) - HOUR_MS

    async def close(self) -> None:
        """See `Source.close`."""
        if self._watcher is not None:
            await self._watcher.close()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
        for feed in self._feeds.values():
            await feed.close()

    def _attend(self, feed: JsonlFeed) -> None:
        feed.ticked = self._ticker
        self._watch(feed, sign_of(feed.tail.catalog.folder))
        feed.wake()

    def _watch(self, feed: JsonlFeed, sign: FolderSign | None) -> None:
        """Watch the feed's folder, if it is not the one that is watched already."""
        folder = feed.tail.catalog.folder
        identity = sign[:2] if sign is not None else None
        if identity != self._watched.get(feed.symbol):
            if identity is not None and self._watcher is not None:
                # A refusal is not asked about again: stats find the same, only later.
                self._watcher.watch(folder)
            self._watched[feed.symbol] = identity

    def _hint(self, folder: str, name: str | None) -> None:
        for feed in self._feeds.values():
            if feed.tail.catalog.folder == folder:
                if name is None:
                    self._watched.pop(feed.symbol, None)
                feed.hint(name)

    def _wake_all(self) -> None:
        for feed in self._feeds.values():
            feed.wake()

    async def _tick_for_ever(self) -> None:
        rescan_s = self._settings.rescan_ms / 1_000
        rescan_at_s = self._clock.monotonic_s() + rescan_s
        find_grown = wrap(_names_of_grown)
        while True:
            await self._clock.sleep(self._pause_s())
            now_s = self._clock.monotonic_s()
            rescan = now_s >= rescan_at_s
            if rescan:
                rescan_at_s = now_s + rescan_s
            for feed in list(self._feeds.values()):
                if not feed.idle:
                    continue
                self._glance(feed, now_s)
                if rescan and feed.idle:
                    for name in await find_grown(self._slice_of(feed)):
                        feed.hint(name)

    def _pause_s(self) -> float:
        poll_s = self._settings.poll_ms / 1_000
        prompt = self._watcher is not None and self._watcher.prompt
        calm = prompt and self._clock.monotonic_s() >= self._calm_from_s
        return min(CALM_POLLS * poll_s, self._settings.rescan_ms / 1_000) if calm else poll_s

    def _glance(self, feed: JsonlFeed, now_s: float) -> None:
        """Look at what changes most: the folder and its newest files; and at what is due."""
        catalog = feed.tail.catalog
        sign = sign_of(catalog.folder)
        self._watch(feed, sign)
        due = catalog.due_s is not None and now_s >= catalog.due_s
        if due or sign != catalog.sign:
            feed.wake()
        else:
            for name in _names_of_grown(catalog.order[-NEWEST_FILES:]):
                self._calm_from_s = now_s + DISTRUST_S
                feed.hint(name)

    def _slice_of(self, feed: JsonlFeed) -> list[TailedFile]:
        """The hot files, and the next ones of the sweep over all."""
        order = feed.tail.catalog.order
        start = self._swept.get(feed.symbol, 0)
        if start >= len(order):
            start = 0
        self._swept[feed.symbol] = start + SWEEP_FILES_MAX
        return order[-HOT_FILES:] + order[start : min(start + SWEEP_FILES_MAX, len(order) - HOT_FILES)]


def _names_of_grown(files: Sequence[TailedFile]) -> list[str]:
    """The files that are no longer what the tail saw last."""
    return [file.name for file in files if identify(file.path) != file.identity]
