"""What the status server shows of a running worker."""

from __future__ import annotations

import msgspec

from worker.daemon import SILENCE_S_MAX, Daemon
from worker.lane import Lane


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
        daemon = self._daemon
        if daemon.recovery_s is None:
            waiting = [lane.symbol for lane in daemon.lanes if not lane.recovered.is_set()]
            return f"recovery is not done for {', '.join(waiting)}"
        if daemon.stopping:
            return "the worker is stopping"
        faults = (lane.feed.state().fault for lane in daemon.lanes)
        return daemon.floor.writer.trouble or next(filter(None, faults), None)

    def status(self) -> dict[str, object]:
        """Everything a person asks first."""
        daemon = self._daemon
        counters = daemon.source.counters
        return {
            "mode": daemon.execution.mode.value,
            "source": daemon.source.kind,
            "ready": self.ready() is None,
            "why_not_ready": self.ready(),
            "uptime_s": round(daemon.clock.monotonic_s() - daemon.started_s, 1),
            "recovery_s": daemon.recovery_s,
            **daemon.heartbeat(),
            "success_rate": daemon.metrics.success_rate,
            **({} if daemon.tempo is None else daemon.tempo.status()),
            "halts": [msgspec.structs.asdict(halt) for halt in daemon.floor.halts.in_force()],
            "lanes": [_lane_status(lane) for lane in daemon.lanes],
            "unsettled": [
                {"symbol": symbol, "state": state.value, "rows": rows, "oldest_ms": oldest_ms}
                for symbol, state, rows, oldest_ms in daemon.unsettled
            ],
            "output_trouble": daemon.projector.trouble,
            "sources_ignored": list(daemon.ignored_sources),
            "source_resets": counters.resets,
            "late_beyond_lookback": counters.late_beyond_lookback,
            "files_ignored": counters.ignored_files,
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
