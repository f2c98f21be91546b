"""Starting the worker as an operator does, and reading what it and the kernel say of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PROGRAM = str(Path(sys.executable).parent / "execution-worker")
ROOT = Path(__file__).resolve().parents[2]
STOP_S_MAX = 20.0
SAMPLE_S = 0.1


class BenchError(Exception):
    """The worker did not do what is to be measured."""


@dataclass(frozen=True)
class Drained:
    """One drain: the worker's own time for it, and the memory that it took."""

    seconds: float
    signals: int
    resident_kib: int
    peak_kib: int

    @property
    def rate(self) -> float:
        """Signals per second."""
        return self.signals / self.seconds


# For whoever waits for the first success in the log; by default one in a hundred is there.
EVERY_ORDER_TOLD = {"V13_EXECUTION__LOG__SUCCESS_SHARE": "1"}


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """That of the caller without settings of its own; no limit, any free port, and what is given."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("V13_")}
    ours = {
        "V13_EXECUTION__RATE_LIMIT__MAX_QPS": "null",
        "V13_EXECUTION__HTTP__PORT": "0",
        # No baseline writes one; what it costs is a figure of its own.
        "V13_EXECUTION__EXECLOG": "off",
    }
    return {**plain, **ours, **(more or {})}


def options(signals: Path, output: Path, *more: str) -> list[str]:
    """The worker's command line."""
    return ["--signals", str(signals), "--output", str(output), "--sink", "jsonl", *more]


def drain(
    signals: Path, output: Path, *, wrapper: Sequence[str] = (), more: Mapping[str, str] | None = None
) -> Drained:
    """Run `--once` to its end.

    The seconds go from worker_ready, logged just before the first read, to worker_stopped, logged
    after the last line and its cursor are on disk; interpreter, imports and opening are not in it.
    """
    told = output.with_name(f"{output.name}.log")
    with open(told, "wb") as stderr:
        worker = subprocess.Popen(
            [*wrapper, PROGRAM, *options(signals, output, "--once")], env=environment(more), stderr=stderr
        )
        resident_kib = peak_kib = 0
        while worker.poll() is None:
            memory = memory_of(worker.pid)
            resident_kib = memory.get("VmRSS", resident_kib)
            peak_kib = memory.get("VmHWM", peak_kib)
            time.sleep(SAMPLE_S)
    if worker.returncode != 0:
        raise BenchError(f"the worker ended with {worker.returncode}: {told.read_text()[-2_000:]}")
    events = {event["event"]: event for event in events_in(told)}
    began, ended = events["worker_ready"], events["worker_stopped"]
    seconds = (_moment(ended) - _moment(began)).total_seconds()
    return Drained(seconds, int(ended["signal_count"]), resident_kib, peak_kib)


def events_in(path: Path) -> list[dict[str, str]]:
    """The log lines of one run."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def _moment(event: dict[str, str]) -> datetime:
    return datetime.fromisoformat(event["ts"])


def memory_of(pid: int) -> dict[str, int]:
    """VmRSS and VmHWM in KiB; empty once the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    pairs = (line.split(":") for line in text.splitlines() if line.startswith(("VmRSS", "VmHWM")))
    return {name: int(value.split()[0]) for name, value in pairs}


def cpu_s_of(pid: int) -> float:
    """Seconds of CPU that the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def daemon(
    command: Sequence[str], told: Path, more_environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that runs until the block ends; its log goes to `told`."""
    with open(told, "wb") as stderr:
        worker = subprocess.Popen(command, env=environment(more_environment), stderr=stderr)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
            raise BenchError(f"the worker did not stop within {STOP_S_MAX:g} s") from None


def wait_for(told: Path, words: str, worker: subprocess.Popen[bytes], *, limit_s: float = 60.0) -> float:
    """The moment (monotonic) at which `words` stood in the log; looked at every millisecond."""
    until_s = time.monotonic() + limit_s
    with open(told) as log:
        seen = ""
        while time.monotonic() < until_s:
            seen = (seen + log.read())[-4_000:]
            if words in seen:
                return time.monotonic()
            if worker.poll() is not None:
                break
            time.sleep(0.001)
    raise BenchError(f"no {words!r} from the worker: {told.read_text()[-2_000:]}")
