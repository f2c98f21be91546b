"""The main job on real input: 600 signals in four shapes, executed once, whatever is fed again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

SHAPES = ("v1-jsonl", "v2-jsonl", "v1-sqlite", "v2-sqlite")
DECISION = "signal_id, symbol, signal_ts_ms, side, status, error_code, gating, guard_reason"


def drain(signals: Path, output: Path) -> None:
    """Run the worker on what is there, to its end."""
    command = [sys.executable, "-m", "worker", "--once", "--symbols", "BTCUSDT,ETHUSDT"]
    done = subprocess.run(
        [*command, "--signals", str(signals), "--output", str(output)],
        env={"V13_EXECUTION__RATE_LIMIT__MAX_QPS": "null"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def rows(output: Path, columns: str = DECISION) -> list[tuple[object, ...]]:
    """What the table says, in the order of the signals."""
    with closing(sqlite3.connect(output / "executions" / "executions.db")) as connection:
        query = f"SELECT {columns} FROM executions ORDER BY signal_ts_ms, symbol, signal_id"
        return connection.execute(query).fetchall()


def lines(output: Path) -> list[dict[str, object]]:
    """What the hourly files say, each line parsed."""
    files = sorted((output / "executions").glob("*USDT/exec_*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def outputs(signals_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The output folder of one run over each shape; the input is a copy that SQLite may write beside."""
    folder = tmp_path_factory.mktemp("shapes")
    for shape in SHAPES:
        shutil.copytree(signals_dir / shape, folder / "in" / shape)
        drain(folder / "in" / shape, folder / "out" / shape)
    return {shape: folder / "out" / shape for shape in SHAPES}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_gives_479_successes_and_121_skips(outputs: dict[str, Path], shape: str) -> None:
    found = Counter(status for (status,) in rows(outputs[shape], "status"))

    assert found == {"success": 479, "skip": 121}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_files_and_table_of_one_version_lead_to_equal_ids_sides_and_reasons(
    outputs: dict[str, Path], version: str
) -> None:
    assert rows(outputs[f"{version}-jsonl"]) == rows(outputs[f"{version}-sqlite"])


def test_both_versions_decide_alike_for_each_signal(outputs: dict[str, Path]) -> None:
    columns = "symbol, signal_ts_ms, side, status, error_code"

    assert rows(outputs["v1-jsonl"], columns) == rows(outputs["v2-jsonl"], columns)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_hourly_files_hold_each_row_once(outputs: dict[str, Path], shape: str) -> None:
    columns = "signal_id, symbol, status, side, exec_ts_ms"
    told = [tuple(line[name.strip()] for name in columns.split(",")) for line in lines(outputs[shape])]

    assert len(told) == 600
    assert sorted(told) == sorted(rows(outputs[shape], columns))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_second_run_adds_nothing(outputs: dict[str, Path], shape: str, tmp_path: Path) -> None:
    signals = outputs[shape].parents[1] / "in" / shape
    output = tmp_path / "out"
    shutil.copytree(outputs[shape], output)
    before = rows(output), lines(output)

    drain(signals, output)

    assert (rows(output), lines(output)) == before


@pytest.mark.parametrize("shape", ["v1-jsonl", "v2-jsonl"])
def test_the_same_files_under_other_names_add_nothing(
    outputs: dict[str, Path], shape: str, tmp_path: Path
) -> None:
    signals, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(outputs[shape].parents[1] / "in" / shape, signals)
    shutil.copytree(outputs[shape], output)
    before = rows(output), lines(output)
    for file in list(signals.glob("ready/signal/*/*.jsonl")):
        shutil.copy(file, file.with_name(f"copy_of_{file.name}"))

    drain(signals, output)

    assert (rows(output), lines(output)) == before
    with closing(sqlite3.connect(output / "executions" / "executions.db")) as connection:
        assert connection.execute("SELECT count(*) FROM source_positions").fetchone() == (8,)


def test_a_table_that_was_copied_to_another_file_adds_nothing(
    outputs: dict[str, Path], tmp_path: Path
) -> None:
    signals, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(outputs["v1-sqlite"].parents[1] / "in" / "v1-sqlite", signals)
    shutil.copytree(outputs["v1-sqlite"], output)
    before = rows(output), lines(output)
    with closing(sqlite3.connect(signals / "signals.db")) as old:
        old.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    for suffix in ("", "-wal", "-shm"):
        (signals / f"signals.db{suffix}").unlink(missing_ok=True)
    (tmp_path / "copy.db").rename(signals / "signals.db")

    drain(signals, output)

    assert (rows(output), lines(output)) == before


def test_a_real_file_with_list_shaped_gates_and_repeated_lines_gives_one_row_a_signal(
    signals_dir: Path, tmp_path: Path
) -> None:
    source = signals_dir / "debug_list_gating.jsonl"
    fed = [json.loads(line) for line in source.read_text().splitlines()]
    folder = tmp_path / "in" / "ready" / "signal" / "BTCUSDT"
    folder.mkdir(parents=True)
    shutil.copy(source, folder / "signals-20251115-15.jsonl")

    drain(tmp_path / "in", tmp_path / "out")

    # The file's gates are [] (passes) and ["fallback"] (blocks); 19 of its 73 lines stand there twice.
    passed = {line["signal_id"] for line in fed if not line["gating"] and abs(line["score"]) > 0.5}
    assert len(fed) == 73
    found = dict(rows(tmp_path / "out", "signal_id, status"))
    assert found.keys() == {line["signal_id"] for line in fed}
    assert {signal_id for signal_id, status in found.items() if status == "success"} == passed
