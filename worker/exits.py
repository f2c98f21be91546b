"""Exit codes: what a shell, systemd or a drill can tell apart (CONTRACTS 4)."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The codes follow sysexits.h where it has one."""

    OK = 0
    BUG = 1
    USAGE = 2
    NOT_RUNNING = 3
    DATA = 65
    EXCHANGE_UNAVAILABLE = 69
    CANNOT_WRITE = 73
    HELD_BY_ANOTHER = 75
    PERMISSION = 77
    CONFIGURATION = 78
    # 128 + SIGINT, for commands that have nothing to finish.
    INTERRUPTED = 130
