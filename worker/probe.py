"""What the status server shows of a running worker."""

from __future__ import annotations

import msgspec

from worker.daemon import SILENCE_S_MAX, Daemon
from worker.lane import Lane
from worker.version import VERSION


class WorkerProbe:
    """What the HTTP server shows of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def alive(self) -> str | None:
        """None while every task shows life."""
        late = self._daemon.pulses.late(SILENCE_S_MAX)
        return f"no sign of life from {', '.join(late)}" if late else None

    def ready(self) -> str | None:
        """None while recovery is done, the store commits and input is read, or is not there yet."""
        return self._daemon.why_not_ready()

    def status(self) -> dict[str, object]:
        """Everything a person asks first."""
        daemon = self._daemon
        counters = daemon.source.counters
        return {
            "version": VERSION,
            "mode": daemon.execution.mode.value,
            "venue": daemon.floor.adapter.name,
            "source": daemon.source.kind,
            "ready": self.ready() is None,
            "why_not_ready": self.ready(),
            "uptime_s": round(daemon.clock.monotonic_s() - daemon.started_s, 1),
            "recovery_s": daemon.recovery_s,
            **daemon.heartbeat(),
            "success_rate": daemon.metrics.success_rate,
            **_pace(daemon),
            "halts": [msgspec.structs.asdict(halt) for halt in daemon.floor.halts.in_force()],
            "lanes": [_lane_status(lane) for lane in daemon.lanes],
            "unsettled": [
                {"symbol": symbol, "state": state.value, "rows": rows, "oldest_ms": oldest_ms}
                for symbol, state, rows, oldest_ms in daemon.unsettled
            ],
            "limits": _limits(daemon),
            "output_trouble": daemon.projector.trouble,
            "sources_ignored": list(daemon.ignored_sources),
            "source_resets": counters.resets,
            "late_beyond_lookback": counters.late_beyond_lookback,
            "files_ignored": counters.ignored_files,
        }


def _pace(daemon: Daemon) -> dict[str, object]:
    """How fast orders may leave, and how many at once; more words where something changes it."""
    if daemon.tempo is not None:
        return daemon.tempo.status()
    return {
        "rate_limit_qps": daemon.execution.rate_limit.max_qps,
        "max_concurrency": daemon.floor.slots.limit,
    }


def _limits(daemon: Daemon) -> dict[str, object]:
    """What bounds the orders: the hard limits, and how the venue counts."""
    risk, adapter = daemon.execution.risk, daemon.floor.adapter
    usd = {"max_order_usd": risk.max_order_usd, "max_position_usd": risk.max_position_usd}
    return {
        "in_flight": daemon.floor.report.in_flight,
        "signal_life_ms": daemon.execution.max_age_ms,
        "max_orders_per_minute": risk.max_orders_per_minute,
        **{name: None if value is None else format(value, "f") for name, value in usd.items()},
        "venue": [msgspec.structs.asdict(window) for window in adapter.usage],
        "venue_deadline_ms": adapter.deadline_ms,
        "clock_offset_ms": adapter.clock_offset_ms,
    }


def _lane_status(lane: Lane) -> dict[str, object]:
    state = lane.feed.state()
    return {
        "symbol": lane.symbol,
        "queue_len": lane.queue_len,
        "blocked_by": lane.blocked_by,
        "waiting_for": state.waiting_for,
        "backlog": state.backlog_bytes,
        "last_read_ms": state.last_read_ms,
    }
