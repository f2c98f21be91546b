"""The whole worker with one thing added: the moment at which each order reached its adapter.

Run as `timed_worker.py MOMENTS` and the worker's own options; MOMENTS gets `signal time, nanoseconds`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import worker.app
from adapters.contract import ExecutionAdapter, Guard, Order, OrderCtx, Reject, SubmitResult
from adapters.dry_run import DryRunAdapter
from config.settings import Settings
from worker.cli import main


class TimedAdapter(DryRunAdapter):
    """Dry-run that remembers when `submit` was called, by CLOCK_MONOTONIC."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(base_order_qty=settings.execution.business.base_order_qty)
        self.moments: dict[str, int] = {}
        self.times: dict[str, int] = {}

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """As in dry-run."""
        self.times[ctx.signal_id] = ctx.event_ts_ms
        return super().prepare(ctx)

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """As in dry-run, one clock reading later."""
        self.moments[order.signal_id] = time.monotonic_ns()
        return await super().submit(order, guard)


def run(moments: Path) -> None:
    """Run until SIGTERM, then write the moments down."""
    adapters: list[TimedAdapter] = []

    def open_timed(settings: Settings, **_: object) -> ExecutionAdapter:
        adapters.append(TimedAdapter(settings))
        return adapters[-1]

    worker.app.open_adapter = open_timed
    try:
        main()
    finally:
        pairs = [(one.times[key], at_ns) for one in adapters for key, at_ns in one.moments.items()]
        moments.write_text(json.dumps(pairs))


if __name__ == "__main__":
    path = Path(sys.argv.pop(1))
    run(path)
