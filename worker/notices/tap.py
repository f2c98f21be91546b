"""The tap: which lines of the log people are told of, and in which fields. Pure.

A halt shows twice, as the event in which it began and as a condition that lasts. The condition alone tells of
a halt that was in force before this start, so it is told when no event of this life has told it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from config.notify_settings import Event
from worker.notices.notice import EVERYTHING, Notice, Phase

Fields = Mapping[str, object]

# Conditions of the daemon, and what people call the thing that is in trouble.
TROUBLES = {
    "store_trouble": "the store",
    "output_trouble": "the outputs",
    "tasks_late": "tasks that show no life",
}
CONDITIONS = {"no_progress": Event.NO_PROGRESS, "exchange_refused": Event.EXCHANGE_REFUSED}
OVER = "it is over"
SHOWN = ("symbol", "scope", "why", "who", "code", "exit", "version", "symbols")


class Tap:
    """Makes notices of log events; remembers which halts it has told."""

    def __init__(self) -> None:
        self._halts: dict[str, str] = {}
        self._makers: dict[str, Callable[[Fields, int], Notice | None]] = {
            "worker_ready": _started,
            "worker_stopped": _stopped,
            "worker_failed": _failed,
            "worker_refused": _failed,
            "task_failed": _task_failed,
            "task_ended": _task_failed,
            "halted": self._halted,
            "resumed": self._resumed,
            "lane_quarantined": _quarantined,
            "order_limited": _limited,
            "late_fill": _late_fill,
            "signal_not_recordable": _not_recordable,
            "condition_began": self._began,
            "condition_ended": self._ended,
        }

    @property
    def names(self) -> frozenset[str]:
        """The log events that are looked at."""
        return frozenset(self._makers)

    def notice(self, name: str, fields: Fields, at_ms: int) -> Notice | None:
        """What to tell of one event; None: nothing."""
        return self._makers[name](fields, at_ms)

    def _halted(self, fields: Fields, at_ms: int) -> Notice | None:
        scope, why = _text(fields, "scope") or EVERYTHING, _text(fields, "why")
        self._halts[scope] = why
        if self._halts.pop(_sentence(scope, why), None) is not None:
            # The file of the command was seen before its words came, and has been told.
            return None
        return Notice(Event.HALTED, scope, at_ms, {**_shown(fields), "scope": scope})

    def _resumed(self, fields: Fields, at_ms: int) -> Notice:
        scope = _text(fields, "scope") or EVERYTHING
        if scope == EVERYTHING:
            self._halts.clear()
        self._halts.pop(scope, None)
        return Notice(Event.RESUMED, scope, at_ms, {**_shown(fields), "scope": scope})

    def _began(self, fields: Fields, at_ms: int) -> Notice | None:
        what, why = _text(fields, "what"), _text(fields, "why")
        if what == "halted":
            return self._still_halted(why, at_ms)
        if what in CONDITIONS:
            return Notice(CONDITIONS[what], "", at_ms, {"why": why}, Phase.BEGAN)
        if what in TROUBLES:
            return Notice(Event.TROUBLE, what, at_ms, {"why": why, "scope": TROUBLES[what]}, Phase.BEGAN)
        return None

    def _ended(self, fields: Fields, at_ms: int) -> Notice | None:
        what = _text(fields, "what")
        if what == "halted" and self._halts:
            self._halts.clear()
            return Notice(Event.RESUMED, EVERYTHING, at_ms, {"scope": EVERYTHING, "why": OVER, "who": "time"})
        if what in CONDITIONS:
            return Notice(CONDITIONS[what], "", at_ms, {"why": OVER}, Phase.ENDED)
        if what in TROUBLES:
            return Notice(Event.TROUBLE, what, at_ms, {"why": OVER, "scope": TROUBLES[what]}, Phase.ENDED)
        return None

    def _still_halted(self, sentence: str, at_ms: int) -> Notice | None:
        rest = sentence
        for scope, why in self._halts.items():
            rest = rest.replace(_sentence(scope, why), "")
        if not rest.strip("; "):
            return None
        self._halts[sentence] = sentence
        return Notice(
            Event.HALTED, sentence, at_ms, {"scope": "orders", "why": sentence, "who": "somebody, see status"}
        )


def _sentence(scope: str, why: str) -> str:
    """A halt in the words of the condition `halted`."""
    return f"{'everything' if scope == EVERYTHING else scope}: {why}"


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return "" if value is None else str(value)


def _shown(fields: Fields) -> dict[str, str]:
    return {name: _text(fields, name) for name in SHOWN if fields.get(name) is not None}


def _started(fields: Fields, at_ms: int) -> Notice:
    return Notice(Event.STARTED, EVERYTHING, at_ms, _shown(fields))


def _stopped(fields: Fields, at_ms: int) -> Notice:
    counts = [
        f"{name.removesuffix('_count')} {value}" for name, value in fields.items() if name.endswith("_count")
    ]
    return Notice(
        Event.STOPPED, EVERYTHING, at_ms, {"why": ", ".join(counts) or "before it had begun to work"}
    )


def _failed(fields: Fields, at_ms: int) -> Notice:
    event = Event.EXCHANGE_REFUSED if fields.get("by") == "exchange" else Event.FAILED
    return Notice(event, _text(fields, "why"), at_ms, _shown(fields))


def _task_failed(fields: Fields, at_ms: int) -> Notice:
    why = f"its {_text(fields, 'task')} ended: {_text(fields, 'why')}"
    return Notice(Event.FAILED, why, at_ms, {"why": why})


def _quarantined(fields: Fields, at_ms: int) -> Notice:
    symbol = _text(fields, "symbol")
    return Notice(Event.QUARANTINED, symbol, at_ms, {"symbol": symbol, "why": _text(fields, "what_to_do")})


def _limited(fields: Fields, at_ms: int) -> Notice:
    return Notice(
        Event.LIMIT_REACHED, f"{_text(fields, 'code')} {_text(fields, 'symbol')}", at_ms, _shown(fields)
    )


def _late_fill(fields: Fields, at_ms: int) -> Notice:
    return Notice(Event.LATE_FILL, _text(fields, "client_order_id"), at_ms, _shown(fields))


def _not_recordable(fields: Fields, at_ms: int) -> Notice:
    symbol = _text(fields, "symbol")
    shown = {"scope": f"a signal of {symbol}", "symbol": symbol, "why": _text(fields, "why")}
    return Notice(Event.TROUBLE, f"signal {symbol}", at_ms, shown)
