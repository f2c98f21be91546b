"""Mode paper as a person would first try it: on 600 real signals, with prices and without."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from worker.exits import Exit

PRICES = {"BTCUSDT": 61_000.5, "ETHUSDT": 3_000.25}


def paper(signals: Path, output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the worker on what is there, to its end."""
    command = [sys.executable, "-m", "worker", "--once", "--mode", "paper", "--symbols", "BTCUSDT,ETHUSDT"]
    return subprocess.run(
        [*command, "--signals", str(signals), "--output", str(output)],
        env={"V13_EXECUTION__RATE_LIMIT__MAX_QPS": "null", "V13_LOG_LEVEL": "info", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def outcomes(output: Path) -> Counter[tuple[str, str | None]]:
    with closing(sqlite3.connect(output / "executions" / "executions.db")) as store:
        return Counter(store.execute("SELECT state, error_code FROM executions").fetchall())


def priced(signals: Path, folder: Path) -> Path:
    """A copy in which every signal says its price."""
    for path in sorted(signals.rglob("*.jsonl")):
        copy = folder / path.relative_to(signals)
        copy.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        copy.write_text(
            "".join(json.dumps({**line, "price": PRICES[line["symbol"]]}) + "\n" for line in lines)
        )
    return folder


def test_signals_with_prices_are_executed_once_however_often_they_are_read(
    signals_dir: Path, tmp_path: Path
) -> None:
    signals, output = priced(signals_dir / "v1-jsonl", tmp_path / "in"), tmp_path / "out"

    first, second = paper(signals, output), paper(signals, output)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert outcomes(output) == {("filled", None): 479, ("skipped", "not_confirmed"): 121}
    journal = [json.loads(line) for line in (output / "paper" / "orders.jsonl").read_text().splitlines()]
    assert len({fact["order"]["client_order_id"] for fact in journal}) == len(journal) == 479


def test_signals_without_prices_end_rejected_and_one_warning_says_what_to_do(
    signals_dir: Path, tmp_path: Path
) -> None:
    done = paper(signals_dir / "v1-jsonl", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert outcomes(tmp_path / "out") == {("rejected", "no_price"): 479, ("skipped", "not_confirmed"): 121}
    warnings = [line for line in done.stderr.splitlines() if '"warning"' in line]
    assert len(warnings) == 1, warnings
    assert "set execution.paper.fallback_price" in warnings[0]


def test_rules_that_cannot_be_read_refuse_the_start_before_anything_is_written(tmp_path: Path) -> None:
    rules = str(tmp_path / "no.json")

    done = paper(tmp_path / "in", tmp_path / "out", V13_EXECUTION__PAPER__RULES_FILE=rules)

    assert done.returncode == Exit.CONFIGURATION
    assert f"rules file {rules} cannot be read (no such file or directory)" in done.stderr
    assert not (tmp_path / "out").exists()
