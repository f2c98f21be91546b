"""Times to wait as people write them: `90s`, `15m`, `2h`, `1d`. Pure."""

from __future__ import annotations

import re

EXAMPLES = "90s, 15m, 2h or 1d"
_DURATION = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_of(text: str) -> int | None:
    """The seconds; None for what is not like the examples."""
    match = _DURATION.fullmatch(text)
    return None if match is None else int(match[1]) * _SECONDS[match[2]]
