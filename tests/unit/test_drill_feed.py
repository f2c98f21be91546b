"""The feed of a drill: its list is true whatever moment it dies at, and no habit of its takes a line away."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.seams import Clock, SystemClock, seeded_random
from worker.drill.expected import expectations
from worker.drill.feed_files import Files
from worker.drill.feed_list import FeedList, FeedPlan, read_list
from worker.drill.left import Progress
from worker.drill.process import Process
from worker.drill.scene import feed_command

LIVES = 3
PATIENCE_S = 20.0


def plan_of(folder: Path, shape: str, **habits: float) -> FeedPlan:
    """A quick feed with bad habits."""
    return FeedPlan(
        shape=shape,
        into=str(folder / "signals"),
        list=str(folder / "feed-list.jsonl"),
        symbols=("BTCUSDT", "ETHUSDT"),
        seed=3,
        rate=2_000,
        base_ms=1_763_225_940_000,
        step_ms=150,
        **habits,
    )


async def live_and_die(plan: FeedPlan, folder: Path, clock: Clock) -> None:
    """A few lives of the feed, all but the last ended by SIGKILL."""
    written = folder / "feed.json"
    written.write_bytes(msgspec.json.encode(plan))
    progress = Progress(folder, Path(plan.list))
    for life in range(1, LIVES + 1):
        wanted = life * 100
        feed = Process(feed_command(written), folder / f"feed-{life}.log", folder)
        try:
            until_s = clock.monotonic_s() + PATIENCE_S
            while progress.fed() < wanted:
                assert feed.code is None, feed.tail()
                assert clock.monotonic_s() < until_s, "the feed writes nothing"
                await clock.sleep(0.005)
            if life == LIVES:
                assert await feed.stop(clock) == 0
        finally:
            feed.kill()


def told(plan: FeedPlan) -> set[tuple[str, int]]:
    """The signals of the list, by symbol and time."""
    return {(signal.key[0], signal.key[1]) for signal in expectations(read_list(Path(plan.list)))}


def standing_in_files(plan: FeedPlan) -> tuple[set[tuple[str, int]], set[str]]:
    """What a reader of the folder finds: whole signals by symbol and time, and lines that are none."""
    signals, others = set(), set()
    for path in Path(plan.into).glob("ready/signal/*/signals*.jsonl*"):
        for line in path.read_text().split("\n")[:-1]:
            try:
                fields: Any = json.loads(line)
                signals.add((fields["symbol"], fields["ts_ms"]))
            except (ValueError, KeyError):
                others.add(line)
    return signals, others - {""}


async def test_the_list_is_true_after_the_feed_was_killed_again_and_again(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "v1-jsonl", twice=0.05, torn=0.3, malformed=0.05, moves=0.05)

    await live_and_die(plan, tmp_path, SystemClock())

    signals, others = standing_in_files(plan)
    entries = read_list(Path(plan.list))
    never = {entry["raw"] for entry in entries if entry["kind"] == "void_malformed"}
    assert signals == told(plan)
    assert others == {entry["raw"] for entry in entries if entry["kind"] == "malformed"} - never
    assert len(signals) >= LIVES * 100 - LIVES


async def test_the_list_of_a_table_is_true_and_a_table_built_anew_has_every_row(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "v1-sqlite", moves=0.1)

    await live_and_die(plan, tmp_path, SystemClock())

    with closing(sqlite3.connect(Path(plan.into) / "signals.db")) as table:
        rows = set(table.execute("SELECT symbol, ts_ms FROM signals"))
    assert rows == told(plan)
    assert any(entry.get("what") == "built the table anew" for entry in read_list(Path(plan.list)))


@pytest.mark.parametrize(
    ("written", "counts", "half"),
    [
        ("", False, None),
        ('{"ts_', False, '{"ts_'),
        ('{"ts_ms":1}', True, None),
        ('{"ts_ms":1}\n', True, None),
    ],
)
def test_the_next_life_sees_how_much_of_the_last_line_was_written(
    tmp_path: Path, written: str, counts: bool, half: str | None
) -> None:
    plan = plan_of(tmp_path, "v1-jsonl")
    place = tmp_path / "signals" / "ready" / "signal" / "BTCUSDT" / "signals_20251115_1700.jsonl"
    place.parent.mkdir(parents=True)
    place.write_text(written)
    entry = {
        "kind": "signal",
        "number": 0,
        "place": f"BTCUSDT/{place.name}",
        "offset": 0,
        "line": '{"ts_ms":1}',
    }
    Path(plan.list).write_bytes(msgspec.json.encode(entry) + b"\n")

    with closing(FeedList(Path(plan.list))) as feed_list:
        Files(plan, feed_list, seeded_random(1)).resume()

    added = read_list(Path(plan.list))[1:]
    assert ({"kind": "void", "number": 0} in added) is not counts
    assert [one["raw"] for one in added if one["kind"] == "malformed"] == ([] if half is None else [half])
    assert place.read_text() == (written if written in ("", written.rstrip() + "\n") else written + "\n")
