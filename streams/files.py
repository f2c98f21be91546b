"""Which files of a symbol's folder are read, and in which order.

Pure: a name decides. The time in the name comes first, then the name; a rotated `.N` stands before
the file it was rotated from, the highest N first, because its lines are older.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

# signals-YYYYMMDD-HH, signals_YYYYMMDD_HHMM and signals_YYYYMMDDHHMM, whatever stands before the time.
_TIME = re.compile(r"(?<!\d)(\d{8})[-_]?(\d{2})(\d{2})?(?!\d)")
_CANDIDATE = re.compile(r"(?P<stem>[^.].*)\.jsonl(?:\.(?P<rotation>\d{1,9}))?", re.DOTALL)
_UNFINISHED = {".part": "part", ".tmp": "tmp", ".gz": "gz"}

# A name without a time sorts behind every name that has one.
NO_TIME_MS = 1 << 62

OrderKey = tuple[int, str, int]


class Candidate(msgspec.Struct, frozen=True):
    """A name that is read. `time_ms` is the UTC time in it, None when there is none."""

    name: str
    time_ms: int | None
    order: OrderKey


def candidate_of(name: str) -> Candidate | None:
    """The candidate called `name`, or None when such a name is never read."""
    match = _CANDIDATE.fullmatch(name)
    if match is None:
        return None
    rotation = match["rotation"]
    time_ms = time_in(match["stem"])
    order = (
        time_ms if time_ms is not None else NO_TIME_MS,
        match["stem"],
        -int(rotation) if rotation is not None else 1,
    )
    return Candidate(name=name, time_ms=time_ms, order=order)


def ignored_reason(name: str) -> str:
    """Why a name that is no candidate is left alone: part, tmp, gz or foreign."""
    for ending, reason in _UNFINISHED.items():
        if name.endswith(ending):
            return reason
    return "foreign"


def time_in(stem: str) -> int | None:
    """The UTC epoch milliseconds that a name carries; the last possible reading wins, None without one."""
    for day, hour, minute in reversed(_TIME.findall(stem)):
        try:
            moment = datetime(
                int(day[:4]), int(day[4:6]), int(day[6:]), int(hour), int(minute or 0), tzinfo=UTC
            )
        except ValueError:
            continue
        return int(moment.timestamp()) * 1_000
    return None
