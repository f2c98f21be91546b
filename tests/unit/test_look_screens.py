"""What people watch: the way of a signal in time, and the worker in the terminal, which is given back."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path

import msgspec
import pytest
from rig import rows as rig
from rig.virtual_clock import START_MS, ManualClock
from rig.wire_rows import move, reserved, wire
from typer.testing import CliRunner

from store.lifecycle import State
from worker import cli
from worker.exits import Exit
from worker.inspect import read_history
from worker.look_pages import Look, Wanted
from worker.look_timeline import Phase, Step, phase_lines, step_lines
from worker.look_top import Sight, frame

PRESENT_KEYS = {
    "id",
    "symbol",
    "signal_id",
    "state",
    "status",
    "meta_json",
    "order_json",
    "events",
    "place_file",
}
PATIENCE_S = 30.0
ROOT = Path(cli.__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An order that was sent 20 ms after it was reserved, filled in two parts, and one in doubt."""
    clock = ManualClock()
    place = tmp_path / "out" / "executions"
    place.mkdir(parents=True)
    ledger = rig.open_ledger(place, clock)
    row_id, doubtful = reserved(
        ledger,
        wire(0, signal_ts_ms=START_MS - 84, meta_json='{"lag_ms":80}'),
        wire(1, signal_ts_ms=START_MS - 80),
    )
    clock.now_ms += 60
    times = msgspec.json.encode(
        {"sent_ts_ms": START_MS + 20, "ack_ts_ms": START_MS + 57, "latency_ms": 37}
    ).decode()
    move(ledger, row_id, State.RESERVED, State.PARTIAL, has_fills=True, qty="0.4", price="10.1", patch=times)
    move(ledger, doubtful, State.RESERVED, State.UNKNOWN, reason="read timed out")
    clock.now_ms += 940
    move(ledger, row_id, State.PARTIAL, State.FILLED, has_fills=True, qty="1.0", price="10.25")
    ledger.close()
    return place


def test_the_way_of_a_signal_is_told_in_phases_events_and_fills(folder: Path) -> None:
    [row] = read_history(folder, "c0")

    assert set(row) >= PRESENT_KEYS
    assert [(part["phase"], part["took_ms"]) for part in row["phases"]] == [
        ("signal -> read", 80),
        ("read -> reserved", 4),
        ("reserved -> sent", 20),
        ("sent -> answered", 37),
        ("answered -> first fill", 3),
        ("first fill -> final", 940),
    ]
    assert [(e["from"], e["to"], e["after_ms"], e["qty"]) for e in row["events"]] == [
        (None, "reserved", None, None),
        ("reserved", "partial", 60, "0.4"),
        ("partial", "filled", 940, "1.0"),
    ]
    lines = [msgspec.json.decode(line) for line in row["execution_log"]]
    assert [line["event"] for line in lines] == ["submit", "partial", "filled"]


def test_inspect_prints_the_same_for_people_and_for_programs(folder: Path) -> None:
    output = str(folder.parent)

    people = CliRunner().invoke(cli.app, ["inspect", "c0", "--output", output])
    programs = CliRunner().invoke(cli.app, ["inspect", "c0", "--output", output, "--json"])

    assert "+940 ms  partial -> filled  filled 1.0 at 10.25" in people.stdout
    assert "first fill -> final" in people.stdout
    [row] = msgspec.json.decode(programs.stdout)
    assert set(row) >= PRESENT_KEYS | {"phases", "execution_log", "original"}
    assert {"at_ms", "from", "to", "reason"} <= set(row["events"][0])


def test_a_phase_that_dwarfs_the_others_is_told_without_a_bar() -> None:
    parts = [
        Phase("signal -> read", 0, 1e9),
        Phase("read -> sent", 1e9, 10),
        Phase("sent -> final", 1e9 + 10, 30),
    ]

    lines = phase_lines(parts, plain=True)

    assert lines[0].endswith("(not drawn: it would dwarf the others)")
    assert [line.count("#") for line in lines] == [0, 8, 24]
    assert phase_lines([]) == []


def test_words_from_outside_move_no_cursor() -> None:
    [line] = step_lines([Step(1, START_MS, None, "rejected", "no\x1b[2Jway\n", None, None)])

    assert "\x1b" not in line
    assert "(no?[2Jway?)" in line


WORKER = {
    "ready": True,
    "lag_ms": 84,
    "queue_len": 3,
    "uptime_s": 100.0,
    "signal_count": 1_000,
    "success_count": 700,
    "fail_count": 0,
    "skip_count": 300,
    "retry_count": 0,
    "lanes": [{"symbol": "BTCUSDT", "queue_len": 3, "blocked_by": "c1", "waiting_for": None}],
}


def seen(folder: Path, at_s: float = 100.0, **changes: object) -> Sight:
    with Look(folder) as opened:
        newest = list(opened.newest(Wanted(), 50))
    values: dict[str, object] = {
        "at_ms": START_MS + 5_000,
        "at_s": at_s,
        "pid": 77,
        "worker": WORKER,
        "mode": "testnet",
        "rows": 1_000,
        "lanes": [("BTCUSDT", START_MS, START_MS)],
        "unsettled": [("BTCUSDT", "unknown", 1, START_MS)],
        "halts": ["everything by ops: odd prices"],
        "newest": newest,
    }
    return Sight(**{**values, **changes})


def test_a_frame_tells_rates_halts_doubts_and_lanes(folder: Path) -> None:
    before = seen(folder)
    later = {**WORKER, "signal_count": 1_020, "success_count": 710}

    text = "\n".join(line.text for line in frame(seen(folder, 102.0, worker=later), before, 120, 40))

    assert "testnet  running, pid 77, up 1 m 40 s" in text
    assert "signal 1020 (10.0/s)  success 710 (5.0/s)" in text
    assert "HALTED everything by ops: odd prices" in text
    assert "unresolved BTCUSDT: 1 unknown, oldest 5 s old" in text
    assert "blocked by c1" in text
    first = "\n".join(line.text for line in frame(before, None, 120, 40))
    assert "signal 1000 (10.0/s)" in first


@pytest.mark.parametrize(("width", "height"), [(20, 3), (40, 8), (79, 24), (300, 100)])
def test_a_frame_fits_every_window(width: int, height: int, folder: Path) -> None:
    lines = frame(seen(folder), None, width, height)

    assert len(lines) <= height
    assert max(len(line.text) for line in lines) <= width


def test_a_worker_that_does_not_answer_or_does_not_run_is_said_so(folder: Path) -> None:
    silent = frame(seen(folder, worker=None), None, 100, 30)
    gone = frame(seen(folder, worker=None, pid=None), None, 100, 30)

    assert "the worker does not answer on its port" in [line.text for line in silent]
    assert "not running" in gone[0].text


def test_without_a_terminal_one_frame_is_printed_and_the_exit_code_tells(folder: Path) -> None:
    told = CliRunner().invoke(cli.app, ["top", "--output", str(folder.parent)])

    assert told.exit_code == Exit.NOT_RUNNING
    assert "not running" in told.stdout
    assert "\x1b" not in told.stdout


def test_top_gives_the_terminal_back(folder: Path) -> None:
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    before = termios.tcgetattr(inside)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("V13_")}
    with subprocess.Popen(
        [sys.executable, "-m", "worker", "top", "--output", str(folder.parent)],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        env={**environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            drawn = heard(terminal, until=b"unresolved")
            os.write(terminal, b"q")
            drawn += heard(terminal, until=b"\x1b[?1049l")
            code = process.wait(PATIENCE_S)
            after = termios.tcgetattr(inside)
        finally:
            process.kill()
            os.close(inside)
            os.close(terminal)

    assert code == Exit.OK
    assert b"\x1b[?1049h" in drawn
    assert b"Traceback" not in drawn
    assert after == before


def heard(terminal: int, until: bytes) -> bytes:
    """What comes from a terminal until some bytes are there."""
    said = b""
    while until not in said:
        ready, _, _ = select.select([terminal], [], [], PATIENCE_S)
        assert ready, said
        said += os.read(terminal, 65_536)
    return said
