"""How far a long command is: a bar on a terminal, once it has run for a while; nothing elsewhere."""

from __future__ import annotations

from typing import TextIO

from config.seams import Clock

BEGIN_S = 1.0
REDRAW_S = 0.2
WIDTH = 30


class ProgressBar:
    """A bar that is drawn over itself. `begin_s` is how long a command may take before there is one.

    `what` stands before it, `things` is what is counted.
    """

    def __init__(
        self, stream: TextIO, clock: Clock, *, what: str, things: str, begin_s: float = BEGIN_S
    ) -> None:
        self._stream = stream
        self._what = what
        self._things = things
        self._clock = clock
        self._shows = stream.isatty()
        self._began_s = clock.monotonic_s()
        self._next_s = self._began_s + begin_s
        self._drawn = 0

    def reached(self, done: int, total: int, things: int) -> None:
        """Draw it, if it is time."""
        if not self._shows:
            return
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + REDRAW_S
        share = min(done / total, 1.0) if total else 1.0
        took_s = max(now_s - self._began_s, 0.001)
        bar = ("#" * round(share * WIDTH)).ljust(WIDTH, ".")
        left = f", {took_s / share - took_s:.0f} s left" if share > 0 else ""
        counted = f"{things:,} {self._things}, {things / took_s:,.0f}/s"
        text = f"{self._what} [{bar}] {share:4.0%}  {counted}{left}"
        self._write("\r" + text.ljust(self._drawn))
        self._drawn = len(text)

    def end(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._write("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # The terminal is gone; the command goes on without it.
            self._shows = False
            self._drawn = 0
