"""What one start of the worker was asked to do, beyond its settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How this run begins and ends.

    `start` is where a first start on old data begins: "beginning", "now", a time in UTC epoch
    milliseconds, or None for what the mode asks. `once` drains what is there and ends.
    """

    once: bool = False
    start: str | int | None = None
    accept_source_change: bool = False
