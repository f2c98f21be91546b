"""What the page looks at: the newest rows, the last hour and the newest drill; bounded, never in the way."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rig import rows as rig
from rig.virtual_clock import START_MS, ManualClock
from rig.wire_rows import move, reserved, wire

from store import statements_recent
from store.ledger import Ledger
from store.lifecycle import State
from store.recent import EXECUTIONS_MAX, ROWS_LOOKED_AT_MAX, UNRESOLVED_MAX, read_recent
from worker.drill.figures import DrillResult, RowResult
from worker.history import SAMPLES_MAX, History, quantile_of
from worker.metrics import LAG_MS_BOUNDS, Metrics
from worker.page.drills import newest_drill
from worker.pulse import Pulses


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock):
    opened = rig.open_ledger(tmp_path, clock)
    yield opened
    opened.close()


def test_the_newest_rows_come_first_and_no_more_than_are_shown(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit([rig.share(*map(rig.skip, range(EXECUTIONS_MAX + 50)))])

    found = read_recent(tmp_path / "executions.db", START_MS)

    assert [one.signal_id for one in found.executions] == [
        f"id-{number}" for number in reversed(range(50, EXECUTIONS_MAX + 50))
    ]
    assert found.orders == []


def test_an_order_is_found_among_skips_but_not_for_ever(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit(
        [rig.share(rig.reservation(0), rig.reservation(1), *map(rig.skip, range(2, ROWS_LOOKED_AT_MAX)))]
    )
    assert [one.signal_id for one in read_recent(tmp_path / "executions.db", START_MS).orders] == [
        "id-1",
        "id-0",
    ]

    ledger.commit([rig.share(rig.skip(ROWS_LOOKED_AT_MAX))])

    assert [one.signal_id for one in read_recent(tmp_path / "executions.db", START_MS).orders] == ["id-1"]


def test_what_is_in_doubt_is_unresolved_and_what_works_is_not(ledger: Ledger, tmp_path: Path) -> None:
    ids = reserved(ledger, *map(wire, range(4)))
    move(ledger, ids[0], State.RESERVED, State.UNKNOWN)
    move(ledger, ids[0], State.UNKNOWN, State.QUARANTINED)
    move(ledger, ids[1], State.RESERVED, State.UNKNOWN)
    move(ledger, ids[2], State.RESERVED, State.OPEN)

    found = read_recent(tmp_path / "executions.db", START_MS)

    assert [(one.client_order_id, one.state) for one in found.unresolved] == [
        ("c0", "quarantined"),
        ("c1", "unknown"),
    ]
    assert found.orders_last_minute == 4


def test_very_many_doubts_are_cut(ledger: Ledger, tmp_path: Path) -> None:
    for row_id in reserved(ledger, *map(wire, range(UNRESOLVED_MAX + 1))):
        move(ledger, row_id, State.RESERVED, State.UNKNOWN)

    assert len(read_recent(tmp_path / "executions.db", START_MS).unresolved) == UNRESOLVED_MAX


def test_long_words_of_a_producer_are_cut_in_the_store(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit([rig.share(rig.skip(1, error_msg="x" * 60_000, guard_reason="y" * 60_000))])

    [one] = read_recent(tmp_path / "executions.db", START_MS).executions

    assert (len(one.error_msg or ""), len(one.guard_reason or "")) == (500, 200)


def test_a_look_waits_for_no_writer_and_no_writer_for_a_look(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit([rig.share(rig.reservation(1))])
    path = tmp_path / "executions.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        found = read_recent(path, START_MS)

        other.execute("ROLLBACK")
    assert len(found.executions) == 1
    ledger.commit([rig.share(rig.reservation(2))])
    assert len(read_recent(path, START_MS).executions) == 2


def test_a_look_costs_the_same_whatever_the_size_of_the_table(ledger: Ledger) -> None:
    queries = (
        (statements_recent.LATEST, (50,)),
        (statements_recent.LATEST_ORDERS, (ROWS_LOOKED_AT_MAX, 50)),
        (statements_recent.UNRESOLVED, (50,)),
    )
    connection = rig.store_of(ledger).connection

    def steps() -> list[int]:
        """What each query cost, in hundreds of the database's own steps."""
        counts = []
        for statement, values in queries:
            counts.append(0)

            def count(at: int = len(counts) - 1) -> int:
                counts[at] += 1
                return 0

            connection.set_progress_handler(count, 100)
            connection.execute(statement, values).fetchall()
        connection.set_progress_handler(None, 0)
        return counts

    ledger.commit([rig.share(*map(rig.skip, range(3_000)))])
    before = steps()
    for start in range(3_000, 12_000, 1_000):
        ledger.commit([rig.share(*map(rig.skip, range(start, start + 1_000)))])

    assert all(after <= small + 1 for after, small in zip(steps(), before, strict=True))


class MovedClock(ManualClock):
    """All of its clocks are moved together."""

    def monotonic_s(self) -> float:
        return self.now_ms / 1000


def history_of(clock: ManualClock) -> tuple[History, Metrics]:
    metrics = Metrics()
    return History(metrics, lambda: 7, clock, Pulses(clock).of("history")), metrics


def test_a_sample_tells_what_came_since_the_one_before() -> None:
    clock = MovedClock()
    history, metrics = history_of(clock)
    metrics.signals_read("BTCUSDT", 50)
    metrics.lags_ms([3.0] * 50)
    metrics.results("success", 8)
    metrics.results("failed", 2)
    metrics.results("skip", 40)
    clock.now_ms += 5_000
    history.sample()
    clock.now_ms += 5_000
    history.sample()

    first, second = history.samples

    assert (first.signals_per_s, first.orders_per_s, first.queue_len) == (10.0, 2.0, 7)
    assert first.lag_p95_ms is not None
    assert 2 < first.lag_p95_ms <= 5
    assert (second.lag_p95_ms, second.signals_per_s, second.orders_per_s) == (None, 0.0, 0.0)
    assert second.at_ms - first.at_ms == 5_000


def test_an_hour_is_remembered_and_no_more() -> None:
    clock = MovedClock()
    history, _ = history_of(clock)
    for _ in range(SAMPLES_MAX + 10):
        clock.now_ms += 5_000
        history.sample()

    assert len(history.samples) == SAMPLES_MAX == 3_600 // 5
    assert history.samples[-1].at_ms == clock.wall_ms()


@pytest.mark.parametrize(
    ("lags", "low_ms", "high_ms"),
    [
        ([0.5] * 100, 0, 1),
        ([3.0] * 95 + [400.0] * 5, 2, 5),
        ([3.0] * 90 + [400.0] * 10, 250, 500),
        ([10**7], 60_000, 60_000),
    ],
)
def test_the_lag_is_that_of_ninety_five_in_a_hundred(
    lags: list[float], low_ms: float, high_ms: float
) -> None:
    metrics = Metrics()
    metrics.lags_ms(lags)

    found = quantile_of(metrics.lag_counts())

    assert found is not None
    assert low_ms <= found <= high_ms


def test_without_signals_there_is_no_lag() -> None:
    assert quantile_of([0] * (len(LAG_MS_BOUNDS) + 1)) is None


def drill_of(output: Path, name: str, content: object) -> None:
    folder = output / "drills" / name
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(content))


RESULT: dict[str, Any] = {
    "kind": "restart",
    "seed": 1,
    "started_ms": 1,
    "ended_ms": 2,
    "passed": True,
    "rows": [
        {
            "drill": "restart",
            "passed": True,
            "kills": 5,
            "recovery_p50_s": None,
            "accepted": None,
            "new_in_a_later_version": 1,
        }
    ],
}


def test_the_newest_drill_that_has_a_result_is_found(tmp_path: Path) -> None:
    assert newest_drill(tmp_path) is None
    drill_of(tmp_path, "20260101-000000-feed", {**RESULT, "kind": "feed"})
    drill_of(tmp_path, "20260102-000000-restart", RESULT)
    (tmp_path / "drills" / "20260103-000000-all").mkdir()
    (tmp_path / "drills" / "notes").mkdir()

    found = newest_drill(tmp_path)

    assert isinstance(found, tuple)
    assert (found[0].name, found[1].kind, found[1].rows[0].kills) == ("20260102-000000-restart", "restart", 5)


def test_what_the_command_writes_is_what_the_page_reads(tmp_path: Path) -> None:
    figures = {"kills": 9, "signals": 8, "rows": 8, "lines": 8, "accepted": None, "duplicates": 0, "lost": 1}
    recovery = {"recovery_p50_s": 0.5, "recovery_p99_s": None, "folder": "disk", "took_s": 1.0}
    row = RowResult(kind="disk", drill="full disk", passed=False, why="1 lost", **figures, **recovery)
    result = DrillResult(kind="disk", seed=3, started_ms=1, ended_ms=2, passed=False, rows=(row,))
    drill_of(tmp_path, "20260101-000000-disk", msgspec.to_builtins(result))

    found = newest_drill(tmp_path)

    assert isinstance(found, tuple)
    assert (found[1].seed, found[1].rows[0].lost, found[1].rows[0].why) == (3, 1, "1 lost")


def test_a_result_that_tells_at_length_is_read_all_the_same(tmp_path: Path) -> None:
    moments = [{"at_s": number / 10, "what": "killed"} for number in range(10_000)]
    drill_of(tmp_path, "20260101-000000-all", {**RESULT, "timeline": moments})

    assert isinstance(newest_drill(tmp_path), tuple)


@pytest.mark.parametrize("content", ["no drill", {"kind": 7}, []])
def test_a_result_that_is_none_is_a_sentence(tmp_path: Path, content: object) -> None:
    drill_of(tmp_path, "20260101-000000-feed", content)

    found = newest_drill(tmp_path)

    assert isinstance(found, str)
    assert "tells of no drill" in found


def test_a_pipe_in_the_place_of_a_result_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "drills" / "20260101-000000-feed").mkdir(parents=True)
    os.mkfifo(tmp_path / "drills" / "20260101-000000-feed" / "result.json")

    found = newest_drill(tmp_path)

    assert isinstance(found, str)
    assert "is no regular file" in found
