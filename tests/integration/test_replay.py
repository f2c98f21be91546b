"""Replay on real signals: all shapes decide alike, two runs write the same bytes, nothing half is left."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from worker.cli import app
from worker.exits import Exit
from worker.replay_output import FILLS, PART, PUBLISHED, RUN, SUMMARY

SHAPES = {
    "v1-jsonl": "v1-jsonl",
    "v2-jsonl": "v2-jsonl",
    "v1-sqlite": "v1-sqlite/signals.db",
    "v2-sqlite": "v2-sqlite/signals_v2.db",
}


def replay(signals: Path, out: Path, *more: str) -> Result:
    """The command as a user gives it, in this process."""
    arguments = ["replay", "--signals", str(signals), "--out", str(out), *more]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def lines(out: Path) -> list[dict[str, object]]:
    """Every execution of a run, symbol by symbol."""
    files = sorted((out / "executions").glob("*/exec_*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def tree(out: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def runs(signals_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One replay of each shape."""
    folder = tmp_path_factory.mktemp("replays")
    for shape, name in SHAPES.items():
        told = replay(signals_dir / name, folder / shape, "--seed", "7")
        assert told.exit_code == Exit.OK, told.output
    return {shape: folder / shape for shape in SHAPES}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_gives_600_signals_479_orders_and_121_skips(runs: dict[str, Path], shape: str) -> None:
    summary = json.loads((runs[shape] / SUMMARY).read_bytes())

    assert (summary["signals"], summary["orders"], summary["skipped"]) == (600, 479, 121)
    assert summary["filled"] == summary["fills"] == 479
    assert Counter(line["status"] for line in lines(runs[shape])) == {"success": 479, "skip": 121}


def test_nothing_is_written_beside_a_database(signals_dir: Path, tmp_path: Path) -> None:
    shutil.copy(signals_dir / "v1-sqlite" / "signals.db", tmp_path / "signals.db")

    replay(tmp_path / "signals.db", tmp_path / "out")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "signals.db"]


def test_files_and_table_of_one_version_are_one_and_the_same(runs: dict[str, Path]) -> None:
    files, table = lines(runs["v2-jsonl"]), lines(runs["v2-sqlite"])
    for line in (*files, *table):
        # The table has fewer columns than the files have fields.
        del line["meta_json"], line["guard_reason"]

    assert files == table
    assert (runs["v2-jsonl"] / FILLS).read_bytes() == (runs["v2-sqlite"] / FILLS).read_bytes()


def test_two_runs_write_the_same_bytes(runs: dict[str, Path], signals_dir: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere" / "again"
    moved = shutil.copytree(signals_dir / "v1-jsonl", tmp_path / "moved")

    replay(moved, again, "--seed", "7")

    assert tree(again) == tree(runs["v1-jsonl"])
    replay(moved, again, "--seed", "7")
    assert tree(again) == tree(runs["v1-jsonl"])


def test_of_each_order_dice_decide_alike_in_two_runs_and_otherwise_with_another_seed(
    signals_dir: Path, tmp_path: Path
) -> None:
    config = tmp_path / "dice.yaml"
    config.write_text(
        "execution: {paper: {partial_share: 0.5, error_share: 0.2, timeouts: [BTCUSDT=0.5], latency_ms: 5,"
        " latency_jitter_ms: 40}}\n"
    )
    for name, seed in (("one", "1"), ("two", "1"), ("other", "2")):
        replay(signals_dir / "v1-jsonl", tmp_path / name, "--seed", seed, "--config", str(config))

    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert lines(tmp_path / "one") != lines(tmp_path / "other")
    summary = json.loads((tmp_path / "one" / SUMMARY).read_bytes())
    assert summary["fills"] > summary["filled"] > 300
    assert summary["rejects"]["venue_error"] == 479 - summary["filled"]


def test_a_worker_in_dry_run_decides_the_same(
    runs: dict[str, Path], signals_dir: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "worker", "--once", "--signals", str(signals_dir / "v1-jsonl")]
    subprocess.run(
        [*command, "--output", str(tmp_path / "dry")],
        env={"V13_EXECUTION__RATE_LIMIT__MAX_QPS": "null"},
        check=True,
        timeout=60,
        capture_output=True,
    )

    told = replay(signals_dir / "v1-jsonl", tmp_path / "out", "--compare", str(tmp_path / "dry"))

    assert told.exit_code == Exit.OK, told.output
    assert "600 equal, 0 differ, 0 only here, 0 only there" in told.output
    assert "qty and price were not compared: dry_run" in told.output
    ours, theirs = lines(tmp_path / "out")[-1], lines(tmp_path / "dry")[-1]
    assert list(ours) == list(theirs)


def test_parquet_gives_what_the_lines_gave(runs: dict[str, Path], signals_dir: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    files = sorted((signals_dir / "v2-jsonl").rglob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    for row in rows:
        row["meta"] = None
    rows.sort(key=lambda row: (row["ts_ms"], row["symbol"]))
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "signals.parquet")

    told = replay(tmp_path / "signals.parquet", tmp_path / "out", "--compare", str(runs["v2-jsonl"]))

    assert told.exit_code == Exit.OK, told.output
    assert (tmp_path / "out" / FILLS).read_bytes() == (runs["v2-jsonl"] / FILLS).read_bytes()


def test_prices_of_a_file_are_those_of_their_time(signals_dir: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    times = range(1763225900000, 1763226100000, 1_000)
    rows = [f"{ts_ms},BTCUSDT,{60_000 + number}" for number, ts_ms in enumerate(times)]
    prices.write_text("\n".join(["ts_ms,symbol,price", *rows]) + "\n")

    told = replay(signals_dir / "v1-jsonl", tmp_path / "out", "--prices", str(prices), "--json")

    summary = json.loads(told.output)
    assert summary["symbols"]["BTCUSDT"]["filled"] == 216
    assert summary["rejects"] == {"no_price": 263}
    first = next(line for line in lines(tmp_path / "out") if line["status"] == "success")
    second = (int(str(first["signal_ts_ms"])) - times[0]) // 1_000
    moved = 1.0001 if first["side"] == "long" else 0.9999
    assert first["price"] == pytest.approx((60_000 + second) * moved)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_replay_that_is_stopped_leaves_nothing_half(
    runs: dict[str, Path], signals_dir: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    out = shutil.copytree(runs["v1-jsonl"], tmp_path / "out")
    before = tree(out)
    text = b"".join(path.read_bytes() for path in sorted((signals_dir / "v1-jsonl").rglob("*.jsonl")))
    # A second's work: the same lines at other hours.
    times = [f"17632{number:02d}".encode() for number in range(60)]
    (tmp_path / "long.jsonl").write_bytes(b"".join(text.replace(b"1763225", time) for time in times))
    command = [sys.executable, "-m", "worker", "replay", "--signals", str(tmp_path / "long.jsonl")]

    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.DEVNULL)
    try:
        while not (out / PART / FILLS).exists():
            assert process.poll() is None
        process.send_signal(sent)
        code = process.wait(timeout=30)
    finally:
        process.kill()

    assert code == (Exit.INTERRUPTED if sent is signal.SIGINT else -sent)
    left = tree(out)
    assert {name: left[name] for name in before} == before
    assert (out / PART).exists() == (sent is signal.SIGKILL)
    assert replay(signals_dir / "v1-jsonl", out, "--seed", "7").exit_code == Exit.OK
    assert tree(out) == before
    assert sorted(path.name for path in out.iterdir()) == sorted(PUBLISHED)
    assert RUN in before
