"""The node `execution.notify`: who is told of what, in which words, and how often.

No address is a setting: those of receivers hold tokens, so the settings name the variable or the file that
holds them.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from config.node import Node


class Event(StrEnum):
    """What people are told of."""

    STARTED = "started"
    STOPPED = "stopped"
    FAILED = "failed"
    HALTED = "halted"
    RESUMED = "resumed"
    QUARANTINED = "quarantined"
    EXCHANGE_REFUSED = "exchange_refused"
    LIMIT_REACHED = "limit_reached"
    NO_PROGRESS = "no_progress"
    LATE_FILL = "late_fill"
    TROUBLE = "trouble"
    DRILL_FAILED = "drill_failed"
    TEST = "test"


# What a template may name; one that an event does not have is empty.
FIELDS = (
    "event",
    "severity",
    "name",
    "mode",
    "time",
    "symbol",
    "scope",
    "why",
    "who",
    "code",
    "exit",
    "version",
    "symbols",
    "count",
)


class Webhook(Node):
    """Receivers that take a POST of JSON; one URL a line, all with the same choice of events."""

    url_env: str = "NOTIFY_WEBHOOK_URL"
    url_file: Path | None = None
    events: tuple[str, ...] = ()


class Pager(Webhook):
    """More of them, for what shall wake somebody."""

    url_env: str = "NOTIFY_PAGER_URL"
    events: tuple[str, ...] = (
        "failed",
        "halted",
        "quarantined",
        "exchange_refused",
        "no_progress",
        "late_fill",
        "trouble",
        "drill_failed",
    )


class Apprise(Webhook):
    """Receivers of apprise, which is an extra to be installed; one URL a line."""

    url_env: str = "NOTIFY_APPRISE_URLS"


class Ping(Node):
    """A dead man's switch: asked for while all is well; somebody else notices when it no longer is."""

    url_env: str = "NOTIFY_PING_URL"
    url_file: Path | None = None
    every_s: float = Field(default=60, ge=1, le=86_400)
    while_halted: bool = True


class Templates(Node):
    """The words of each event; `{field}` stands for what it holds."""

    started: str = "started: version {version} in mode {mode}, {symbols}"
    stopped: str = "stopped as asked: {why}"
    failed: str = "FAILED: {why}"
    halted: str = "HALTED {scope}: {why} (by {who})"
    resumed: str = "resumed {scope}: {why} (by {who})"
    quarantined: str = "an order of {symbol} waits for a person: {why}"
    exchange_refused: str = "the exchange refuses us: {why}"
    limit_reached: str = "a risk limit holds orders of {symbol} back ({code}): {why}"
    no_progress: str = "no progress: {why}"
    late_fill: str = "LATE FILL of {symbol}: {why}"
    trouble: str = "trouble with {scope}: {why}"
    drill_failed: str = "a drill failed: {why}"
    test: str = "this is a test: {why}"


class Notify(Node):
    """What is told, to whom, and within which bounds."""

    enabled: bool = True
    name: str | None = None
    webhook: Webhook = Webhook()
    pager: Pager = Pager()
    apprise: Apprise = Apprise()
    ping: Ping = Ping()
    templates: Templates = Templates()
    repeat_s: float = Field(default=900, ge=0, le=604_800)
    waiting_max: int = Field(default=100, ge=1, le=10_000)
    timeout_s: float = Field(default=10, ge=0.1, le=60)
    retry_s: float = Field(default=600, ge=0, le=86_400)
    last_words_s: float = Field(default=2, ge=0, le=5)
    no_progress_s: float = Field(default=60, ge=1, le=86_400)
    ban_s: float = Field(default=60, ge=1, le=259_200)
    trust_env_proxy: bool = False
