"""A replay on several processes: the same bytes as on one, and no process that outlives it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.seams import SystemClock
from config.settings import Execution
from worker.exits import Exit
from worker.replay_output import FILLS, PART
from worker.replay_run import ReplayOptions, run_replay
from worker.replay_share import SHARES

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
Settings = dict[str, object]
DICE: Settings = {
    "paper": {
        "partial_share": 0.5,
        "error_share": 0.2,
        "timeouts": ("BTCUSDT=0.5",),
        "latency_ms": 5,
        "latency_jitter_ms": 40,
    }
}
SETTINGS: dict[str, Settings] = {
    "plain": {},
    "dice": DICE,
    "limit": DICE | {"order": {"type": "limit"}},
}


def tree(out: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def replay(
    signals: Path, out: Path, processes: int | None, prices: Path | None = None, given: Settings | None = None
) -> int:
    execution = Execution.model_validate({"mode": "paper", **(given or {})})
    options = ReplayOptions(signals=signals, out=out, prices=prices, processes=processes)
    return run_replay(options, execution, SystemClock())


def rows_of(signals_dir: Path, name: str) -> list[dict[str, object]]:
    files = sorted((signals_dir / "v1-jsonl" / "ready" / "signal" / "BTCUSDT").glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    return [{**line, "symbol": name} for line in lines]


def write_folder(signals_dir: Path, folder: Path, symbols: tuple[str, ...]) -> Path:
    """Real lines, and among them late, repeated and broken ones; many of one time in all symbols."""
    for number, symbol in enumerate(symbols):
        dice = random.Random(number)
        lines = []
        for row in rows_of(signals_dir, symbol):
            row["ts_ms"] = int(str(row["ts_ms"])) // 1_000 * 1_000 + dice.choice([0, 0, 0, -7_000])
            row["price"] = 100 + dice.randrange(40) / 4
            text = json.dumps(row)
            lines += dice.choice([[text], [text], [text, text], [text, "{broken"], ["[]", text]])
        part = folder / "ready" / "signal" / symbol
        part.mkdir(parents=True)
        for half, hour in enumerate(("16", "17")):
            found = lines[half * len(lines) // 2 : (half + 1) * len(lines) // 2]
            (part / f"signals-20251115-{hour}.jsonl").write_text("\n".join(found) + "\n")
    return folder


@pytest.mark.parametrize(
    ("count", "settings"), [(1, "dice"), (2, "plain"), (2, "dice"), (2, "limit"), (3, "dice")]
)
def test_the_bytes_do_not_depend_on_the_number_of_processes(
    signals_dir: Path, tmp_path: Path, count: int, settings: str
) -> None:
    folder = write_folder(signals_dir, tmp_path / "signals", SYMBOLS[:count])

    for processes in (1, 2):
        code = replay(folder, tmp_path / str(processes), processes, given=SETTINGS[settings])
        assert code == Exit.OK

    one = tree(tmp_path / "1")
    assert one[FILLS].count(b"\n") > 100 * count
    assert any(name.startswith("executions/deadletter/") for name in one)
    assert tree(tmp_path / "2") == one


def test_prices_of_a_file_are_the_same_in_each_process(signals_dir: Path, tmp_path: Path) -> None:
    folder = write_folder(signals_dir, tmp_path / "signals", SYMBOLS[:2])
    times = range(1763225900000, 1763226100000, 1_000)
    rows = [f"{ts_ms},{symbol},{ts_ms // 1_000 % 977 + 1}" for ts_ms in times for symbol in SYMBOLS]
    (tmp_path / "prices.csv").write_text("\n".join(["ts_ms,symbol,price", *rows]) + "\n")

    for processes in (1, 2):
        assert replay(folder, tmp_path / str(processes), processes, tmp_path / "prices.csv") == Exit.OK

    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_what_one_process_cannot_read_ends_the_replay_with_its_sentence(
    signals_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(signals_dir, tmp_path / "signals", SYMBOLS[:2])
    for file in folder.rglob("*.jsonl"):
        file.write_text("{broken\n")

    codes = [replay(folder, tmp_path / str(processes), processes) for processes in (1, 2)]

    first, second = capfd.readouterr().err.splitlines()
    assert codes == [Exit.DATA, Exit.DATA]
    assert first == second
    assert "its lines are malformed (not_json 4)" in first
    assert not any((tmp_path / "2").iterdir())


@pytest.fixture(scope="module")
def long_folder(signals_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two symbols with some seconds of work each."""
    folder = tmp_path_factory.mktemp("long")
    for symbol in SYMBOLS[:2]:
        part = folder / "ready" / "signal" / symbol
        part.mkdir(parents=True)
        rows = rows_of(signals_dir, symbol)
        with (part / "signals-20251115-16.jsonl").open("w") as file:
            for turn in range(80):
                for row in rows:
                    file.write(json.dumps({**row, "ts_ms": int(str(row["ts_ms"])) + turn * 10**6}) + "\n")
    return folder


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(found) for found in listed.split()]


def runs(pid: int) -> bool:
    try:
        # A process that has ended and was not asked for its code yet is none.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def begin(long_folder: Path, out: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A replay that both of its processes have written for, and those."""
    command = [sys.executable, "-m", "worker", "replay", "--signals", str(long_folder), "--out", str(out)]
    process = subprocess.Popen([*command, "--processes", "2"], stderr=subprocess.PIPE, text=True)
    fills = [out / PART / SHARES / symbol / FILLS for symbol in SYMBOLS[:2]]
    while not all(file.exists() and file.stat().st_size for file in fills):
        assert process.poll() is None
        time.sleep(0.01)
    return process, children_of(process.pid)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_replay_that_is_stopped_leaves_no_process_and_the_former_result(
    signals_dir: Path, long_folder: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    out, folder = tmp_path / "out", write_folder(signals_dir, tmp_path / "signals", SYMBOLS[:2])
    assert replay(folder, out, 1) == Exit.OK
    before = tree(out)

    process, children = begin(long_folder, out)
    process.send_signal(sent)
    code = process.wait(timeout=30)
    process.communicate()

    assert code == (Exit.INTERRUPTED if sent is signal.SIGINT else -sent)
    assert len(children) == 2
    ended_s = time.monotonic() + 10
    while any(runs(child) for child in children):
        assert time.monotonic() < ended_s
        time.sleep(0.01)
    left = tree(out)
    assert {name: left[name] for name in before} == before
    assert (out / PART).exists() == (sent is not signal.SIGINT)
    assert replay(folder, out, 2) == Exit.OK
    assert tree(out) == before


def test_a_process_that_is_killed_ends_the_replay_in_one_sentence(long_folder: Path, tmp_path: Path) -> None:
    process, children = begin(long_folder, tmp_path / "out")

    os.kill(children[0], signal.SIGKILL)
    _, told = process.communicate(timeout=30)

    assert process.returncode == Exit.BUG
    assert told.count("\n") == 1
    assert "was killed by signal 9, nothing was published" in told
    assert not any(runs(child) for child in children)
    assert not list((tmp_path / "out").iterdir())
    shutil.rmtree(tmp_path / "out")
