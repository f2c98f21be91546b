"""A worker with something to show: orders that went well, failed, are in doubt or halted; and hostile words.

The practice exchange refuses some orders and never tells what became of others; the producer and the exchange
write markup where sentences belong.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import outside
from outside import PracticeExchange, RunningWorker

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
SCRIPT = "<script>document.title='owned'</script>"
IMAGE = '"><img src=x onerror="document.title=\'owned\'">'
MARGIN_CODE = -2019
# The exchange never tells what became of an order: its doubt outlasts every look.
DOUBT_MS = "600000"
GOOD, REFUSED, SHUT, FAINT = 8, 3, 4, 12


def free_port() -> int:
    """A port that nobody has, so that a worker can be started on it again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def write(folder: Path, symbol: str, *records: dict[str, object]) -> None:
    """Signals of this moment, a millisecond apart."""
    now_ms = time.time_ns() // 1_000_000
    below = folder / "ready" / "signal" / symbol
    below.mkdir(parents=True, exist_ok=True)
    with (below / f"signals-{time.strftime('%Y%m%d-%H', time.gmtime())}.jsonl").open("a") as file:
        for number, record in enumerate(records):
            fields = {
                "ts_ms": now_ms + number,
                "symbol": symbol,
                "score": 1.5,
                "confirm": True,
                "gating": "ok",
            }
            file.write(json.dumps({**fields, **record}) + "\n")


def write_drill(output: Path, *, passed: bool = True, name: str = "20260102-030405-restart") -> None:
    """The result of a drill, as the command leaves it."""
    folder = output / "drills" / name
    folder.mkdir(parents=True, exist_ok=True)
    row = {"drill": "restart", "kills": 40, "signals": 1204, "rows": 1204, "lines": 1204, "accepted": 318}
    fates = {"duplicates": 0, "lost": 0, "recovery_p50_s": 0.31, "recovery_p99_s": 0.84}
    verdict = {"passed": passed, "why": None if passed else f"two orders for {SCRIPT}"}
    ended_ms = time.time_ns() // 1_000_000 - 3_600_000
    result = {
        "kind": "restart",
        "seed": 7,
        "started_ms": ended_ms - 60_000,
        "ended_ms": ended_ms,
        "passed": passed,
    }
    (folder / "result.json").write_text(json.dumps({**result, "rows": [{**row, **fates, **verdict}]}))


@dataclass(frozen=True)
class Scene:
    """Where it all happens."""

    output: Path
    port: int
    exchange: PracticeExchange

    @property
    def url(self) -> str:
        """The page."""
        return f"http://127.0.0.1:{self.port}/"

    @contextmanager
    def worker(self) -> Iterator[RunningWorker]:
        """The worker of the scene, which may be killed and come back."""
        variables = {
            **self.exchange.variables,
            **outside.LIMITS,
            "V13_EXECUTION__HTTP__PORT": str(self.port),
            "V13_BROKER__VISIBILITY_MS": DOUBT_MS,
        }
        options = ("--mode", "testnet", "--symbols", ",".join(SYMBOLS), "--sink", "jsonl")
        with outside.running_worker(self.output, *options, **variables) as worker:
            worker.wait_for("worker_ready")
            yield worker

    def refuse(self) -> None:
        """The exchange refuses orders of one symbol in hostile words, and says nothing of another's."""
        refusal = {"kind": "answer", "code": MARGIN_CODE, "text": f"Margin is insufficient. {SCRIPT}"}
        self.exchange.faults(
            {**refusal, "symbol": "BTCUSDT", "times": REFUSED}, {"kind": "unknown_503", "symbol": "ETHUSDT"}
        )

    def rows(self, worker: RunningWorker) -> dict[str, int]:
        """How many executions there are of each status."""
        found = json.loads(worker.get("/executions.json?limit=200"))["executions"]
        return {
            status: sum(one["status"] == status for one in found) for status in {o["status"] for o in found}
        }


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """The exchange and the folder; the worker is started by whoever looks."""
    with outside.practice_exchange(
        "--symbols", "BTCUSDT,ETHUSDT,SOLUSDT=150,XRPUSDT=0.6", "--price", "walk"
    ) as exchange:
        yield Scene(folder / "output", free_port(), exchange)


def play(stage: Scene, worker: RunningWorker) -> None:
    """Make everything happen that the page has to show."""
    output = stage.output
    write_drill(output)
    write(output, "BTCUSDT", *[{"score": score} for score in [1.5, -1.5] * (GOOD // 2)])
    outside.until(lambda: stage.rows(worker).get("success", 0) == GOOD, "orders that went well")
    stage.refuse()
    write(output, "BTCUSDT", *[{"score": 2.5}] * REFUSED)
    outside.until(lambda: stage.rows(worker).get("failed", 0) == REFUSED, "orders that were refused")
    write(output, "ETHUSDT", {"score": 1.5, "signal_id": f"eth {IMAGE}"})
    outside.until(lambda: stage.rows(worker).get("retry", 0) == 1, "an order in doubt")
    halted = outside.run(
        "halt", "--symbol", "SOLUSDT", "--why", f"odd prices {IMAGE}", "--for", "2h", "--output", str(output)
    )
    assert halted.code == 0, halted.err
    write(output, "SOLUSDT", *[{"score": 1.5}] * SHUT)
    shut = {"gating": f"shut {SCRIPT}", "gating_blocked": 1, "guard_reason": f"spread {SCRIPT}\u202egnol"}
    write(output, "BTCUSDT", *[shut] * SHUT, *[{"score": 0.1}] * FAINT, *[{"score": 1.5}] * 4)
    outside.until(lambda: stage.rows(worker).get("success", 0) == GOOD + 4, "the last orders")
    outside.until(lambda: stage.rows(worker).get("skip", 0) == 2 * SHUT + FAINT, "skips")
