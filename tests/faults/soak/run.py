"""The soak as a command: `make soak MINUTES=60`, or `python -m soak.run --minutes 2`.

A feed writes 20 signals a second over five symbols, a new file each minute; a worker trades them on the
practice exchange. The feed's list and the exchange's journal are the witnesses, /proc and /metrics tell
the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drill.process import PATIENCE_S
from drill_exchange.judge import Verdict, judge
from drill_exchange.processes import gathered, progress
from outside import PracticeExchange, RunningWorker, clean_environment, practice_exchange, running_worker
from soak.picture import drawing, page
from soak.verdict import LAG_BOUND_MS, Sample, minutes_of, objections

FOLDER = Path(".drill") / "soak"
PAGE = Path("docs") / "soak.md"
DRAWING = Path("docs") / "soak.svg"
FEED = Path(__file__).parent / "feed.py"
TESTS = Path(__file__).parent.parent
SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT=150,AVAXUSDT=30,BNBUSDT=600"
NAMES = [name.partition("=")[0] for name in SYMBOLS.split(",")]
RATE = 20.0
LOOK_S = 5.0
DRAIN_S = 60.0
SETTINGS = {
    "V13_SYMBOLS": ",".join(NAMES),
    "V13_EXECUTION__RATE_LIMIT__MAX_QPS": "100",
    "V13_EXECUTION__RATE_LIMIT__MAX_CONCURRENCY": "8",
    "V13_EXECUTION__BUSINESS__ORDER_SIZE_USD": "400",
    # What this measures is the worker; the signals made here carry no state that a pre-check could judge by.
    "V13_EXECUTION__PRECHECK__ENABLED": "false",
    "V13_EXECUTION__THROTTLE__ENABLED": "false",
}
_LAG = re.compile(r'^execution_lag_ms_(bucket\{le="([0-9.]+)"\}|count) ([0-9.]+)$', re.MULTILINE)
_ACCEPTED = re.compile(r'^executor_submit_total\{reason="none",result="accepted"\} ([0-9.]+)$', re.MULTILINE)


def say(line: str) -> None:
    """Print at once: a soak is watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def look(worker: RunningWorker, began_s: float) -> Sample:
    """One sample of a running worker."""
    pid = worker.process.pid
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    text = worker.get("/metrics")
    lags = {bound or what: float(value) for what, bound, value in _LAG.findall(text)}
    within = next(value for bound, value in lags.items() if bound != "count" and float(bound) == LAG_BOUND_MS)
    accepted = _ACCEPTED.search(text)
    return Sample(
        at_s=time.monotonic() - began_s,
        rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        signals=int(lags["count"]),
        within_bound=int(within),
        orders=int(float(accepted[1])) if accepted else 0,
    )


@contextmanager
def feeding(output: Path, journal: Path, seed: int) -> Iterator[subprocess.Popen[bytes]]:
    """A feed until the block ends."""
    command = [sys.executable, str(FEED), "--symbols", ",".join(NAMES), "--into", str(output)]
    command += ["--journal", str(journal), "--seed", str(seed), "--rate", str(RATE)]
    with subprocess.Popen(command, env=clean_environment(PYTHONPATH=str(TESTS))) as feed:
        try:
            yield feed
        finally:
            feed.terminate()
            feed.wait(PATIENCE_S)


def watch(worker: RunningWorker, feed: subprocess.Popen[bytes], minutes: float) -> list[Sample]:
    """Look every few seconds, for so long; a line a minute."""
    began_s = time.monotonic()
    samples: list[Sample] = []
    while time.monotonic() < began_s + minutes * 60:
        assert worker.process.poll() is None, f"the worker ended: {worker.heard.read_text()[-2_000:]}"
        assert feed.poll() is None, "the feed ended"
        samples.append(look(worker, began_s))
        last = samples[-1]
        if len(samples) % int(60 / LOOK_S) == 0:
            say(
                f"{last.at_s / 60:5.1f} min {last.signals:7} signals {last.orders:7} orders "
                f"{last.signals - last.within_bound:5} late {last.rss_bytes / 1e6:7.2f} MB "
                f"{last.descriptors} files"
            )
        time.sleep(max(0.0, began_s + LOOK_S * len(samples) - time.monotonic()))
    return samples


def drain(output: Path, journal: Path) -> None:
    """Wait until every signal has its outcome, or for a minute: the judge says the rest."""
    deadline = time.monotonic() + DRAIN_S
    fed = sum(1 for line in journal.read_bytes().splitlines() if b'"kind":"signal"' in line)
    while time.monotonic() < deadline and progress(output) != (fed, 0):
        time.sleep(0.2)


def soak(folder: Path, minutes: float, seed: int) -> tuple[list[Sample], Verdict, int]:
    """Feed, trade and look for so long; what was seen, the judge's verdict, and the worker's exit code."""
    output, feed_list, journal = folder / "output", folder / "feed.jsonl", folder / "exchange-journal.jsonl"
    options = ("--symbols", SYMBOLS, "--price", "walk", "--seed", str(seed), "--journal", str(journal))
    began = ("--mode", "testnet", "--start", "beginning")
    with (
        practice_exchange(*options) as exchange,
        running_worker(output, *began, **settings(exchange)) as worker,
    ):
        worker.wait_for("worker_ready")
        with feeding(output, feed_list, seed) as feed:
            samples = watch(worker, feed, minutes)
        drain(output, feed_list)
        code = worker.stop()
    return samples, judge(gathered(output, feed_list, journal)), code


def settings(exchange: PracticeExchange) -> dict[str, str]:
    """The worker's environment."""
    return {**SETTINGS, **exchange.variables}


def main() -> int:
    """Run one soak; 1 when anybody objects."""
    parser = argparse.ArgumentParser(description="an hour of steady work, watched and judged")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--page", action="store_true", help=f"write {PAGE}")
    options = parser.parse_args()
    folder = FOLDER / str(options.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    say(f"soak of {options.minutes:g} minutes, seed {options.seed}, evidence in {folder}")
    samples, verdict, code = soak(folder, options.minutes, options.seed)
    (folder / "samples.json").write_text(json.dumps([sample_fields(sample) for sample in samples]))
    long = options.minutes >= 30
    found = [*objections(samples, with_slope=long), *verdict.complaints]
    found += [f"the worker ended with {code}"] if code else []
    say(
        f"signals {verdict.signals}, rows {verdict.rows}, lines {verdict.lines}, eligible "
        f"{verdict.eligible}, accepted {verdict.accepted}, doubled {verdict.doubled}, lost {verdict.lost}"
    )
    if options.page:
        minutes, seed, name = options.minutes, options.seed, DRAWING.name
        PAGE.write_text(page(samples, verdict, found, minutes=minutes, seed=seed, drawing_name=name))
        DRAWING.write_text(drawing(minutes_of(samples)))
        say(f"written: {PAGE}, {DRAWING}")
    for objection in found:
        say(f"objection: {objection}")
    say("FAILED" if found else "passed")
    return 1 if found else 0


def sample_fields(sample: Sample) -> dict[str, float]:
    """For the evidence."""
    return {name: getattr(sample, name) for name in Sample.__slots__}


if __name__ == "__main__":
    sys.exit(main())
