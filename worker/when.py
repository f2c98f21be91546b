"""Times as people read them: UTC, to the millisecond. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(epoch_ms: object) -> str:
    """`2026-01-31 12:04:11.123`; `never` for 0 or nothing."""
    if not isinstance(epoch_ms, int) or epoch_ms <= 0:
        return "never"
    text = datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{epoch_ms % 1000:03d}"
