"""What people are told of: which lines of the log, and when nothing gets on."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rig.virtual_clock import START_MS, ManualClock

from config.notify_settings import Event, Notify
from worker.logs import Log
from worker.notices.notice import Phase
from worker.notices.progress import Progress, Sample
from worker.notices.tap import Tap


def told(*events: tuple[str, dict[str, Any]]) -> list[tuple[Event, str]]:
    """What a worker's events come to: event and the scope, symbol or sentence of it."""
    tap = Tap()
    found = [tap.notice(name, fields, 0) for name, fields in events]
    return [(one.event, one.fields.get("scope") or one.fields["why"]) for one in found if one is not None]


def halted(scope: str, why: str) -> tuple[str, dict[str, Any]]:
    """The event of a halt."""
    return "halted", {"scope": scope, "why": why, "who": "jo"}


def began(what: str, why: str) -> tuple[str, dict[str, Any]]:
    """A condition of the daemon."""
    return "condition_began", {"what": what, "why": why}


def ended(what: str) -> tuple[str, dict[str, Any]]:
    """Its end."""
    return "condition_ended", {"what": what}


RESUMED: tuple[str, dict[str, Any]] = ("resumed", {"scope": "all", "why": "fine again", "who": "jo"})


def test_a_halt_that_shows_twice_is_told_once() -> None:
    found = told(
        halted("all", "by hand; now"),
        began("halted", "everything: by hand; now"),
        halted("BTCUSDT", "too"),
        began("halted", "everything: by hand; now; BTCUSDT: too"),
        RESUMED,
        ended("halted"),
    )

    assert found == [(Event.HALTED, "all"), (Event.HALTED, "BTCUSDT"), (Event.RESUMED, "all")]


def test_a_halt_from_before_the_start_is_told_and_so_is_its_end_by_time() -> None:
    found = told(began("halted", "everything: since yesterday"), ended("halted"))

    assert found == [(Event.HALTED, "orders"), (Event.RESUMED, "all")]


def test_a_refusal_by_the_exchange_is_told_as_one() -> None:
    found = told(
        ("worker_failed", {"why": "the key is unknown", "exit": 77, "by": "exchange"}),
        ("worker_failed", {"why": "the disk is full", "exit": 73}),
        ("worker_refused", {"why": "port 9109 is taken", "exit": 78}),
    )

    assert [event for event, _ in found] == [Event.EXCHANGE_REFUSED, Event.FAILED, Event.FAILED]


def test_conditions_begin_and_end_and_those_that_concern_nobody_are_not_told() -> None:
    tap = Tap()

    found = [
        tap.notice(name, fields, 0)
        for name, fields in (
            began("no_progress", "stuck"),
            ended("no_progress"),
            began("store_trouble", "disk full"),
            ended("store_trouble"),
            began("waiting BTCUSDT", "no file yet"),
            ended("waiting BTCUSDT"),
        )
    ]

    assert [one and (one.event, one.phase) for one in found] == [
        (Event.NO_PROGRESS, Phase.BEGAN),
        (Event.NO_PROGRESS, Phase.ENDED),
        (Event.TROUBLE, Phase.BEGAN),
        (Event.TROUBLE, Phase.ENDED),
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("name", "fields", "event", "key"),
    [
        ("worker_ready", {"version": "1", "mode": "live"}, Event.STARTED, "all"),
        ("worker_stopped", {"success_count": 3}, Event.STOPPED, "all"),
        ("task_failed", {"task": "updates", "why": "KeyError()"}, Event.FAILED, None),
        ("lane_quarantined", {"symbol": "BTCUSDT", "what_to_do": "resolve"}, Event.QUARANTINED, "BTCUSDT"),
        ("order_limited", {"symbol": "X", "code": "risk_rate"}, Event.LIMIT_REACHED, "risk_rate X"),
        ("late_fill", {"symbol": "X", "client_order_id": "ew1-a"}, Event.LATE_FILL, "ew1-a"),
        ("signal_not_recordable", {"symbol": "X", "why": "?"}, Event.TROUBLE, "signal X"),
    ],
)
def test_each_of_these_lines_is_told(
    name: str, fields: dict[str, Any], event: Event, key: str | None
) -> None:
    found = Tap().notice(name, fields, 7)

    assert found is not None
    assert (found.event, found.at_ms) == (event, 7)
    assert key in (None, found.key)


@pytest.mark.parametrize("level", ["debug", "error"])
def test_the_log_hands_over_what_is_listened_for_at_every_level_and_without_secrets(level: str) -> None:
    heard: list[tuple[str, Any]] = []
    log = Log(level, None, ManualClock(), io.StringIO(), False)
    log.redact("hush-hush")
    log.listen(frozenset({"worker_ready", "halted"}), lambda name, fields: heard.append((name, dict(fields))))

    log.event("worker_ready", url="x/hush-hush")
    log.event("heartbeat", lag_ms=1)
    log.error("halted", why="by hand")

    assert heard == [("worker_ready", {"url": "x/[redacted]"}), ("halted", {"why": "by hand"})]


def samples(progress: Progress, *moments: tuple[float, int, int]) -> list[bool]:
    """Whether it is stuck at each of (seconds, finals, waiting)."""
    return [
        progress.look(Sample(now_s, START_MS, finals, waiting))["no_progress"] is not None
        for now_s, finals, waiting in moments
    ]


def test_input_that_is_there_while_nothing_becomes_final_is_no_progress() -> None:
    found = samples(Progress(Notify()), (0, 5, 1), (59, 5, 2), (60, 5, 2), (500, 5, 2), (501, 6, 2))

    assert found == [False, False, True, True, False]


def test_nothing_to_do_is_no_trouble_and_its_time_does_not_count() -> None:
    found = samples(Progress(Notify()), (0, 5, 0), (900, 5, 0), (1_000, 5, 1), (1_059, 5, 1), (1_060, 5, 1))

    assert found == [False, False, False, False, True]


def test_any_signal_that_comes_to_an_end_begins_the_time_anew() -> None:
    moments = [(second, second // 50, 1) for second in range(0, 1_000, 10)]

    assert not any(samples(Progress(Notify()), *moments))


def test_a_short_pause_of_the_exchange_is_everyday_life_and_a_long_one_is_told_until_it_is_over() -> None:
    progress = Progress(Notify(ban_s=60))

    def refused(wall_ms: int, until_ms: int) -> str | None:
        return progress.look(Sample(0, wall_ms, 0, 0, None, until_ms))["exchange_refused"]

    assert refused(0, 60_000) is None
    long = refused(0, 300_000)
    assert long == "it wants to hear nothing until 1970-01-01 00:05:00.000"
    # The clocks are compared anew: the same pause by another millisecond.
    assert refused(290_000, 300_007) == long
    assert refused(300_008, 300_007) is None


def test_a_key_that_is_refused_is_told_in_the_words_of_the_exchange() -> None:
    found = Progress(Notify()).look(Sample(0, START_MS, 0, 0, "the key may not trade", 0))

    assert found == {"no_progress": None, "exchange_refused": "the key may not trade"}


def test_a_listener_does_not_change_the_lines() -> None:
    lines = []
    for listens in (False, True):
        stream = io.StringIO()
        log = Log("info", None, ManualClock(), stream, False)
        if listens:
            log.listen(frozenset({"halted"}), lambda name, fields: None)
        log.error("halted", why="by hand")
        lines.append(json.loads(stream.getvalue()))

    assert lines[0] == lines[1]
