"""The seams: time, randomness and crash points, as arguments instead of globals.

Everything that decides takes a `Clock` or a `random.Random` from here, so that the whole worker
runs in virtual time and can be stopped at any named point. This is the only module that may read
the system clock or make randomness (`tests/repo` enforces it).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Protocol

CRASH_POINT_VARIABLE = "EXECUTION_WORKER_CRASH_POINT"

CRASH_POINTS = (
    "before_reserve",
    "in_reserve",
    "after_reserve",
    "before_submit",
    "after_submit",
    "before_settle",
    "after_settle",
    "before_projection",
    "after_projection_write",
    "after_projection_sync",
    "after_projection_cursor",
    "in_recovery",
)


class Clock(Protocol):
    """Where time comes from; virtual in tests and replays."""

    def wall_ms(self) -> int:
        """UTC epoch milliseconds; may jump when the host's clock is set."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; the origin means nothing."""

    def boot_s(self) -> float:
        """Seconds since boot, suspended time included."""

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds; cancellable."""


class SystemClock:
    """The host's clocks."""

    def wall_ms(self) -> int:
        """UTC epoch milliseconds of the host."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds of CLOCK_MONOTONIC, the event loop's own clock."""
        return time.monotonic()

    def boot_s(self) -> float:
        """Seconds of CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, delay_s: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(delay_s)


def seeded_random(seed: int) -> random.Random:
    """A generator that repeats itself for the same seed, on every host."""
    return random.Random(seed)


class CrashPointError(Exception):
    """The environment arms a crash point that does not exist."""


class _CrashPlan:
    """What happens at a crash point: nothing, until a drill or a test arms one."""

    def __init__(self) -> None:
        self.handler: Callable[[str], None] | None = None


_plan = _CrashPlan()


def crash_point(name: str) -> None:
    """Mark a moment at which a drill may kill the process; costs one attribute read otherwise."""
    if _plan.handler is not None:
        _plan.handler(name)


def arm_crash_points(handler: Callable[[str], None] | None) -> None:
    """Call `handler(name)` at every crash point from now on; None disarms."""
    _plan.handler = handler


def arm_crash_point_from_environment() -> None:
    """Arm `NAME` or `NAME:N` (the Nth passage, from 1) from EXECUTION_WORKER_CRASH_POINT: SIGKILL there.

    Raises CrashPointError for a name that is not in CRASH_POINTS or a count that is none.
    """
    wanted = os.environ.get(CRASH_POINT_VARIABLE)
    if not wanted:
        return
    name, _, count = wanted.partition(":")
    if name not in CRASH_POINTS or not (count or "1").isdigit():
        names = ", ".join(CRASH_POINTS)
        raise CrashPointError(
            f"{CRASH_POINT_VARIABLE} is {wanted!r}, must be NAME or NAME:N with one of {names}"
        )
    left = int(count or "1")

    def kill_at(passed: str) -> None:
        nonlocal left
        if passed == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    arm_crash_points(kill_at)
