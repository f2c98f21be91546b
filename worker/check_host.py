"""Doubts about the host: versions, limits, the clock. Nothing here needs the configuration."""

from __future__ import annotations

import platform
import resource
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from config.seams import Clock
from worker.doubt import Row, fail, ok, warn

# INSERT … RETURNING, on which the promise of one order per signal stands, came with 3.35.
SQLITE_MIN = (3, 35, 0)
# STRICT tables, which keep a wrong type from ever being stored, came with 3.37.
SQLITE_STRICT_MIN = (3, 37, 0)
PYTHON_MIN = (3, 11)

# Store, log, status server and watches hold some 40; the rest is for signal files and connections.
DESCRIPTORS_MIN = 128
DESCRIPTORS_WANTED = 1_024

# One watch per symbol folder and a few above; one instance for the worker beside those of others.
WATCHES_WANTED = 1_024
INSTANCES_WANTED = 16

YEAR_MIN = 2025
YEAR_MAX = 2100

INOTIFY = Path("/proc/sys/fs/inotify")


def host_rows(clock: Clock) -> Iterator[Row]:
    """What the host is like."""
    yield python_row(sys.version_info[:3])
    yield sqlite_row(sqlite3.sqlite_version_info)
    yield clock_row(clock)
    yield descriptors_row(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield inotify_row(INOTIFY)


def python_row(version: tuple[int, ...]) -> Row:
    """Whether the interpreter is new enough."""
    shown = ".".join(map(str, version))
    if version < PYTHON_MIN:
        return fail("python", f"{shown}, must be at least 3.11", "install Python 3.11 and start with it")
    return ok("python", f"{shown} on {platform.system()} {platform.release()}")


def sqlite_row(version: tuple[int, ...]) -> Row:
    """Whether the SQLite that this Python was built with can hold the store."""
    shown = ".".join(map(str, version))
    wanted = max(SQLITE_MIN, SQLITE_STRICT_MIN)
    if version < wanted:
        least = ".".join(map(str, wanted))
        return fail(
            "sqlite", f"{shown}, must be at least {least}", "use a Python that was built with a newer SQLite"
        )
    return ok("sqlite", shown)


def clock_row(clock: Clock) -> Row:
    """Whether the clock can be true; a host without a battery starts in 1970."""
    try:
        now = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return fail("clock", f"says {clock.wall_ms()} ms, which is no date", "timedatectl set-ntp true")
    shown = now.strftime("%Y-%m-%d %H:%M:%S UTC")
    if not YEAR_MIN <= now.year < YEAR_MAX:
        return fail("clock", f"says {shown}, which cannot be", "set the clock: timedatectl set-ntp true")
    return ok("clock", shown)


def descriptors_row(soft_limit: int) -> Row:
    """Whether enough files can be open."""
    subject, remedy = "open files", "raise it: ulimit -n 4096, or LimitNOFILE=4096 in the unit"
    if soft_limit == resource.RLIM_INFINITY:
        return ok(subject, "limit none")
    if soft_limit < DESCRIPTORS_MIN:
        return fail(subject, f"limit {soft_limit}, must be at least {DESCRIPTORS_MIN}", remedy)
    if soft_limit < DESCRIPTORS_WANTED:
        return warn(subject, f"limit {soft_limit}, {DESCRIPTORS_WANTED} are usual", remedy)
    return ok(subject, f"limit {soft_limit}")


def inotify_row(folder: Path) -> Row:
    """Whether wake-ups can be had; without them the worker polls, which is slower but loses nothing."""
    limits = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            limits[name] = int((folder / name).read_text())
        except (OSError, ValueError):
            return warn("inotify", "is not told by this kernel", "none needed: the worker polls instead")
    shown = ", ".join(f"{name} {value}" for name, value in limits.items())
    if limits["max_user_watches"] < WATCHES_WANTED or limits["max_user_instances"] < INSTANCES_WANTED:
        return warn(
            "inotify",
            f"{shown}: wake-ups may be refused, then the worker polls",
            f"sysctl fs.inotify.max_user_watches={WATCHES_WANTED * 8} fs.inotify.max_user_instances=128",
        )
    return ok("inotify", shown)
