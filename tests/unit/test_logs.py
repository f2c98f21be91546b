"""The log: one bounded, clean line per event, in hourly files that survive what files suffer."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from config import settings
from worker import logs
from worker.logs import Log

NOON_MS = 1_795_262_400_000  # 2026-11-21T12:00:00Z


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS + 251_123

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1_000

    def boot_s(self) -> float:
        return self.now_ms / 1_000

    async def sleep(self, delay_s: float) -> None:
        self.now_ms += int(delay_s * 1_000)


Start = Callable[..., Log]


@pytest.fixture
def clock() -> HandClock:
    """The clock of the log under test."""
    return HandClock()


@pytest.fixture
def stream() -> io.StringIO:
    """What stands for standard error."""
    return io.StringIO()


@pytest.fixture
def start(tmp_path: Path, clock: HandClock, stream: io.StringIO) -> Iterator[Start]:
    """Starts logs in `tmp_path/logs` and closes them at the end."""
    begun: list[Log] = []

    def configure(**chosen: Any) -> Log:
        begun.append(logs.configure(settings.Log(**chosen), tmp_path / "logs", clock, stream))
        return begun[-1]

    yield configure
    for log in begun:
        log.close()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The events of a file; every line must be one JSON object."""
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_an_event_is_one_json_line_in_the_file_of_its_hour(tmp_path: Path, start: Start) -> None:
    start().event("order_accepted", signal_id="ab", took_ms=42)

    assert lines_of(tmp_path / "logs" / "20261121_12.log") == [
        {
            "ts": "2026-11-21T12:04:11.123Z",
            "level": "info",
            "event": "order_accepted",
            "signal_id": "ab",
            "took_ms": 42,
        }
    ]


def test_a_person_reads_aligned_lines_with_the_order_first(start: Start, stream: io.StringIO) -> None:
    log = start(format="human")
    log.event(
        "order_filled", signal_id="ab", symbol="BTCUSDT", side="long", qty=Decimal("100.0"), price="9.5"
    )
    log.warning("store_slow", why="a commit took 2 s", took_s=2.0)

    assert stream.getvalue().splitlines() == [
        "12:04:11.123 info  order_filled         BTCUSDT long 100.0 @ 9.5 signal_id=ab",
        '12:04:11.123 WARN  store_slow           why="a commit took 2 s" took_s=2.0',
    ]


def test_standard_error_is_json_where_no_terminal_is(start: Start, stream: io.StringIO) -> None:
    start(format="auto").event("worker_ready")

    assert json.loads(stream.getvalue())["event"] == "worker_ready"


def test_events_below_the_level_are_not_written(tmp_path: Path, start: Start) -> None:
    log = start(level="warning")
    log.debug("page_read")
    log.event("order_filled")
    log.warning("store_slow")
    log.error("store_lost")

    found = [line["event"] for line in lines_of(tmp_path / "logs" / "20261121_12.log")]
    assert found == ["store_slow", "store_lost"]


def test_a_new_hour_begins_a_new_file(tmp_path: Path, start: Start, clock: HandClock) -> None:
    log = start()
    log.event("first")
    clock.now_ms += 3_600_000
    log.event("second")

    assert [line["event"] for line in lines_of(tmp_path / "logs" / "20261121_12.log")] == ["first"]
    assert [line["event"] for line in lines_of(tmp_path / "logs" / "20261121_13.log")] == ["second"]


async def test_lines_of_one_turn_are_written_at_its_end(
    tmp_path: Path, start: Start, clock: HandClock
) -> None:
    log, path = start(), tmp_path / "logs" / "20261121_12.log"
    log.event("first")
    log.event("second")
    assert not path.exists()

    await asyncio.sleep(0)

    assert [line["event"] for line in lines_of(path)] == ["first", "second"]


async def test_an_hour_that_ends_within_a_turn_splits_its_lines(
    tmp_path: Path, start: Start, clock: HandClock
) -> None:
    log = start()
    log.event("first")
    clock.now_ms += 3_600_000
    log.event("second")
    await asyncio.sleep(0)

    assert [line["event"] for line in lines_of(tmp_path / "logs" / "20261121_12.log")] == ["first"]
    assert [line["event"] for line in lines_of(tmp_path / "logs" / "20261121_13.log")] == ["second"]


async def test_a_warning_is_written_at_once_with_all_before_it(tmp_path: Path, start: Start) -> None:
    log = start()
    log.event("first")
    log.warning("second")

    found = lines_of(tmp_path / "logs" / "20261121_12.log")
    assert [line["event"] for line in found] == ["first", "second"]


def test_events_of_a_turn_that_never_ended_come_with_the_next_event(tmp_path: Path, start: Start) -> None:
    log = start()

    async def turn_that_ends_with_its_loop() -> None:
        log.event("first")

    asyncio.run(turn_that_ends_with_its_loop())
    log.event("second")

    found = lines_of(tmp_path / "logs" / "20261121_12.log")
    assert [line["event"] for line in found] == ["first", "second"]


class Side(StrEnum):
    """An enumeration as a field value."""

    LONG = "long"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**70, str(2**70)),
        pytest.param(10**5_000, "int without a text", id="huge"),
        (Decimal("0.10"), "0.10"),
        (Side.LONG, "long"),
        (Path("/a/b"), "/a/b"),
        (b"\xff\x00a", "\\xff\x00a"),
        (["a", float("inf"), None], ["a", "inf", None]),
        ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": "{'d': 1}"}}}),
        ("line\nfeed\x1b[31m\x7f\u2028\u202e", "line\nfeed\x1b[31m\x7f\u2028\u202e"),
        ("half a pair \udc80", "half a pair \udc80"),
        (ValueError("why"), "why"),
    ],
)
def test_any_value_becomes_one_line_of_clean_json(
    tmp_path: Path, start: Start, value: object, written: object
) -> None:
    start().event("read", value=value)

    raw = (tmp_path / "logs" / "20261121_12.log").read_bytes()
    assert raw.count(b"\n") == 1
    assert all(32 <= byte < 127 for byte in raw[:-1])
    assert json.loads(raw)["value"] == written


def test_control_characters_never_reach_a_persons_terminal(start: Start, stream: io.StringIO) -> None:
    start(format="human").event("read", raw="a\n\x1b]0;x\x07\u202eb", **{"bad\nname": 1})

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue()[:-1].isprintable()


def test_a_very_long_value_is_cut_and_says_how_long_it_was(tmp_path: Path, start: Start) -> None:
    start().event("read", raw="x" * 1_000_000, many=list(range(1_000)))

    (line,) = lines_of(tmp_path / "logs" / "20261121_12.log")
    assert len(line["raw"]) < 2_100
    assert line["raw"].endswith("... (1000000 characters)")
    assert len(line["many"]) == 32


def test_a_field_named_like_the_header_never_replaces_it(tmp_path: Path, start: Start) -> None:
    start().event("read", name="n", ts=5, event="x", level="y")

    (line,) = lines_of(tmp_path / "logs" / "20261121_12.log")
    assert (line["event"], line["level"], line["ts_"], line["name"]) == ("read", "info", 5, "n")


@pytest.mark.parametrize("spelling", ["k3y/with+signs=", "k3y%2Fwith%2Bsigns%3D"])
def test_a_registered_secret_never_appears(
    tmp_path: Path, start: Start, stream: io.StringIO, spelling: str
) -> None:
    log = start(level="debug")
    log.redact("k3y/with+signs=")
    log.redact("")

    log.event(
        "called", url=f"https://x/?key={spelling}", nested={"a": [spelling]}, error=ValueError(spelling)
    )
    log.event("cut", long="x" * 1_990 + spelling)
    logging.getLogger("aiohttp").warning("request %s", spelling)
    try:
        raise RuntimeError("x" * 1_980 + spelling)
    except RuntimeError:
        logging.getLogger("aiohttp").exception("broke")

    everything = (tmp_path / "logs" / "20261121_12.log").read_text() + stream.getvalue()
    assert "k3y" not in everything
    assert everything.count("[redacted]") >= 4


def test_what_libraries_say_becomes_events(tmp_path: Path, start: Start) -> None:
    start()
    logging.getLogger("asyncio").error("took %.1f s", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old name", DeprecationWarning, stacklevel=1)

    found = lines_of(tmp_path / "logs" / "20261121_12.log")
    assert [(line["level"], line["logger"], line["event"]) for line in found] == [
        ("error", "asyncio", "library_reported"),
        ("warning", "py.warnings", "library_reported"),
    ]
    assert found[0]["message"] == "took 2.0 s"


def test_a_record_whose_text_cannot_be_formatted_is_told_unformatted(tmp_path: Path, start: Start) -> None:
    record = logging.LogRecord("broken", logging.WARNING, "a.py", 1, "%d items", ("none",), None)

    logs._LibraryRecords(start()).emit(record)

    (line,) = lines_of(tmp_path / "logs" / "20261121_12.log")
    assert line["message"] == "%d items"


def test_after_close_libraries_are_let_go_and_events_still_arrive(tmp_path: Path, start: Start) -> None:
    log = start()
    log.close()
    log.close()
    log.event("late")

    assert not any(isinstance(handler, logs._LibraryRecords) for handler in logging.getLogger().handlers)
    assert [line["event"] for line in lines_of(tmp_path / "logs" / "20261121_12.log")] == ["late"]


def test_without_a_folder_only_standard_error_is_written(clock: HandClock, stream: io.StringIO) -> None:
    log = logs.configure(settings.Log(), None, clock, stream)
    log.event("checked")
    log.close()

    assert json.loads(stream.getvalue())["event"] == "checked"
    assert (log.prune(1), log.lost_lines, log.trouble) == (0, 0, None)


@pytest.mark.skipif(os.geteuid() != 0 and not os.access("/dev/full", os.W_OK), reason="no /dev/full")
def test_a_standard_error_that_takes_nothing_is_counted(tmp_path: Path, clock: HandClock) -> None:
    with open("/dev/full", "w") as full:
        log = logs.configure(settings.Log(), tmp_path, clock, full)
        log.event("first")
        log.close()

    assert log.stream_lost_lines == 1
    assert [line["event"] for line in lines_of(tmp_path / "20261121_12.log")] == ["first"]


def test_a_pipe_that_nobody_reads_never_blocks_the_worker(tmp_path: Path, clock: HandClock) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as pipe:
        log = logs.configure(settings.Log(), tmp_path, clock, pipe)
        for number in range(2_000):
            log.event("told", number=number)
        log.close()
    os.close(reading)

    assert log.stream_lost_lines > 0
    assert len(lines_of(tmp_path / "20261121_12.log")) == 2_000


def test_only_log_files_older_than_keep_days_are_pruned(tmp_path: Path, start: Start) -> None:
    log = start()
    log.event("now")
    folder = tmp_path / "logs"
    for name in ("20261101_00.log", "20261114_11.log", "20261114_12.log", "notes.log", "20261101_00.log.gz"):
        (folder / name).write_text("")

    removed = log.prune(7)

    assert removed == 2
    assert sorted(path.name for path in folder.iterdir()) == [
        "20261101_00.log.gz",
        "20261114_12.log",
        "20261121_12.log",
        "notes.log",
    ]
