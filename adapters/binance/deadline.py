"""Until when the exchange wants to hear nothing: the deadline of a 429 or 418.

Pure. A 429 that is ignored becomes a 418, and bans last from 2 minutes to 3 days; so a deadline is
believed, within that bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# The longest ban that is known is 3 days; an hour on top for clocks that differ.
DEADLINE_AHEAD_MS_MAX = 3 * 86_400_000 + 3_600_000
_BANNED_UNTIL = re.compile(r"banned until (\d{13})(?!\d)", re.ASCII)
_RETRY_AFTER = re.compile(r"\d{1,9}", re.ASCII)
_BAN_MS = 120_000
_WINDOW_MS = 60_000
_SECOND_MS = 1_000


def capped(until_ms: int, now_ms: int) -> int:
    """`until_ms`, but no further ahead than the longest ban."""
    return min(until_ms, now_ms + DEADLINE_AHEAD_MS_MAX)


def parse_deadline(status: int, headers: Mapping[str, str], text: str, now_ms: int) -> int:
    """When to send again (exchange clock) after a reply that says to stop; at least a second from now.

    The later of `Retry-After` (seconds; header names in lower case) and "banned until <ms>" in `text`.
    Told neither, a 418 is taken for the shortest ban, anything else for a spent minute.
    """
    told = []
    retry_after = headers.get("retry-after", "").strip()
    if _RETRY_AFTER.fullmatch(retry_after):
        told.append(now_ms + int(retry_after) * _SECOND_MS)
    if banned := _BANNED_UNTIL.search(text):
        told.append(int(banned[1]))
    if told:
        until_ms = max(told)
    elif status == 418:
        until_ms = now_ms + _BAN_MS
    else:
        until_ms = (now_ms // _WINDOW_MS + 1) * _WINDOW_MS + _SECOND_MS
    return capped(max(until_ms, now_ms + _SECOND_MS), now_ms)
