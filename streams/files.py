"""Which files of a symbol's folder are read, and in which order.

Pure: a name decides. The time in the name comes first, then the name; a rotated `.N` stands before
the file it was rotated from, the highest N first, because its lines are older.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

# signals-YYYYMMDD-HH, signals_YYYYMMDD_HHMM and signals_YYYYMMDDHHMM, whatever stands before the time.
_NAME = re.compile(
    r"(?P<stem>(?!\.).*?(?:(?<!\d)(\d{8})[-_]?(\d{2})(\d{2})?)?)\.jsonl(?:\.(\d{1,9}))?", re.DOTALL
)
_UNFINISHED = {".part": "part", ".tmp": "tmp", ".gz": "gz"}

# A name without a time sorts behind every name that has one.
_NO_TIME = 10**12

# The time as the number YYYYMMDDHHMM, the stem, and how often it was rotated, negated.
OrderKey = tuple[int, str, int]


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A name that is read, and where it stands among the others."""

    name: str
    order: OrderKey

    @property
    def time_ms(self) -> int | None:
        """The UTC epoch milliseconds in the name, None when there is no possible time."""
        stamp = self.order[0]
        if stamp == _NO_TIME:
            return None
        day, minutes = divmod(stamp, 10_000)
        try:
            moment = datetime(
                day // 10_000, day // 100 % 100, day % 100, minutes // 100, minutes % 100, tzinfo=UTC
            )
        except ValueError:
            return None
        return int(moment.timestamp()) * 1_000


def candidate_of(name: str) -> Candidate | None:
    """The candidate called `name`, or None when such a name is never read."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    stem, day, hour, minute, rotation = match.groups()
    if not stem:
        return None
    stamp = _NO_TIME
    if day is not None and "0101" <= day[4:] <= "1231" and hour < "24" and (minute or "00") < "60":
        stamp = int(day + hour + (minute or "00"))
    return Candidate(name, (stamp, stem, 1 if rotation is None else -int(rotation)))


def ignored_reason(name: str) -> str:
    """Why a name that is no candidate is left alone: part, tmp, gz or foreign."""
    for ending, reason in _UNFINISHED.items():
        if name.endswith(ending):
            return reason
    return "foreign"
