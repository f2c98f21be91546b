"""The shipped entry under a small orchestrator: producer, worker and exchange, up, dead, up again, down."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from supervisor import Service, entry_of, plain_environment, start_order, stop_order

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "deploy" / "orchestrator" / "execution_worker.yaml"
PROGRAM = str(Path(sys.executable).parent / "execution-worker")
PATIENCE_S = 60.0


def until(holds: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end_s, f"waited in vain for: {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def services(tmp_path: Path) -> dict[str, Service]:
    """The worker by its shipped entry, and two others as an orchestrator of its own would have them."""
    output, environment = tmp_path / "shared", plain_environment()
    worker = entry_of(ENTRY, output_dir=str(output), port=str(free_port()))
    worker["cmd"][0] = PROGRAM
    # The delays are for people; here the first one is enough to see it.
    worker["restart_args"]["delays_s"] = [0.1]
    sample = [PROGRAM, "sample", "--shape", "v1-jsonl", "--rate", "8", "--into", str(output)]
    entries = [
        worker,
        {"name": "exchange", "cmd": [PROGRAM, "exchange"]},
        {"name": "signal_producer", "cmd": sample},
    ]
    return {one["name"]: Service(one, tmp_path, environment) for one in entries}


def test_the_entry_starts_probes_restarts_and_stops_the_worker_in_order(
    services: dict[str, Service], tmp_path: Path
) -> None:
    worker, producer = services["execution_worker"], services["signal_producer"]
    everyone = list(services.values())
    stopped: list[str] = []
    try:
        for service in start_order(everyone):
            service.start()
        started = [service.name for service in start_order(everyone)]
        until(worker.is_ready, "the ready keyword")
        logs = worker.entry["ready_probe_args"]["sources"][2]
        until(lambda: any("worker_ready" in path.read_text() for path in files(logs)), "the keyword in a log")
        until(lambda: all(worker.is_healthy()), "files of every symbol and 200 from both probes")

        assert worker.process is not None
        os.kill(worker.process.pid, signal.SIGKILL)
        until(worker.look_after, "the restart")
        until(lambda: worker.is_ready() and all(worker.is_healthy()), "health after the restart")
    finally:
        for service in stop_order(everyone):
            if service.process is not None:
                service.stop()
                stopped.append(service.name)

    assert started.index("signal_producer") < started.index("execution_worker")
    assert stopped == ["signal_producer", "execution_worker", "exchange"]
    assert worker.exit_codes == [-signal.SIGKILL, 0]
    assert producer.exit_codes == [0]
    # What came after the worker had stopped reading is the next start's.
    left = subprocess.run([*worker.entry["cmd"], "--once"], env={**worker.environment, **worker.entry["env"]})
    assert left.returncode == 0
    assert signals_fed(tmp_path / "shared") == rows_kept(tmp_path / "shared") > 0


def test_a_wrong_configuration_is_final_and_not_tried_again(
    services: dict[str, Service], tmp_path: Path
) -> None:
    worker = services["execution_worker"]
    worker.entry["env"]["V13_EXECUTION_MODE"] = "daring"

    worker.start()
    assert worker.process is not None

    assert worker.process.wait(PATIENCE_S) == 78
    assert not worker.look_after()
    assert worker.starts == 1


def files(pattern: str) -> list[Path]:
    path = Path(pattern)
    return list(path.parent.glob(path.name))


def signals_fed(output: Path) -> int:
    paths = output.glob("ready/signal/*/*.jsonl")
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return len({(one["symbol"], one["ts_ms"], one["score"]) for one in map(json.loads, lines)})


def rows_kept(output: Path) -> int:
    with sqlite3.connect(f"file:{output}/executions/executions.db?mode=ro", uri=True) as store:
        found: int = store.execute("SELECT count(*) FROM executions").fetchone()[0]
    store.close()
    return found
