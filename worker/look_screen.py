"""`execution-worker top`: the frame of worker/look_top.py in a terminal, once a second, until q or Ctrl-C.

Plain curses: works over ssh, follows the window's size, and leaves the terminal as it was. Without a terminal
it prints one frame.
"""

from __future__ import annotations

import curses
import locale
import shutil
import signal
import sys
from types import FrameType

from config.load import Loaded
from config.seams import Clock
from config.settings import Execution
from worker.exits import Exit
from worker.look_executions import pipe_is_gone
from worker.look_top import EXECUTIONS_SHOWN, Line, Sight, frame, look

REFRESH_MS = 1_000
# More than any terminal has lines.
ROWS_MAX = 200
_END_KEYS = (ord("q"), ord("Q"), 27)
_STYLES = {
    "title": curses.A_REVERSE,
    "head": curses.A_BOLD,
    "plain": curses.A_NORMAL,
    "alarm": curses.A_BOLD | curses.A_STANDOUT,
}


def show_top(loaded: Loaded, clock: Clock, *, once: bool) -> int:
    """Show until the person has enough; exit 3 when there is one frame and no worker runs."""
    execution = loaded.settings.execution
    if once or not sys.stdout.isatty() or not sys.stdin.isatty():
        return _print_once(execution, clock)
    locale.setlocale(locale.LC_ALL, "")
    # An end from outside has to give the terminal back as well.
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        curses.setupterm()
    except curses.error:
        return _print_once(execution, clock)
    try:
        curses.wrapper(_loop, execution, clock)
    except KeyboardInterrupt:
        return Exit.OK
    return Exit.OK


def _interrupted(number: int, stopped_at: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_once(execution: Execution, clock: Clock) -> int:
    width = shutil.get_terminal_size(fallback=(120, 24)).columns
    seen = look(execution, clock.wall_ms(), clock.monotonic_s(), EXECUTIONS_SHOWN)
    try:
        sys.stdout.write("".join(f"{line.text.rstrip()}\n" for line in frame(seen, None, width, None)))
        sys.stdout.flush()
    except BrokenPipeError:
        pipe_is_gone()
    return Exit.OK if seen.pid is not None else Exit.NOT_RUNNING


def _loop(screen: curses.window, execution: Execution, clock: Clock) -> None:
    try:
        curses.curs_set(0)
        curses.use_default_colors()
    except curses.error:
        # A terminal without a cursor to hide, or without colours, is good enough.
        screen.leaveok(True)
    before: Sight | None = None
    while True:
        height, width = screen.getmaxyx()
        seen = look(execution, clock.wall_ms(), clock.monotonic_s(), min(height, ROWS_MAX))
        _draw(screen, frame(seen, before, width - 1, height))
        before = seen
        if not _waited(screen, clock, seen.at_s + REFRESH_MS / 1_000):
            return


def _waited(screen: curses.window, clock: Clock, until_s: float) -> bool:
    """Wait for the next moment; false when the person has enough. A new size ends the wait at once."""
    while (left_s := until_s - clock.monotonic_s()) > 0:
        screen.timeout(max(1, round(left_s * 1_000)))
        key = screen.getch()
        if key in _END_KEYS:
            return False
        if key == curses.KEY_RESIZE:
            curses.update_lines_cols()
            return True
    return True


def _draw(screen: curses.window, lines: list[Line]) -> None:
    screen.erase()
    height, width = screen.getmaxyx()
    for number, line in enumerate(lines[:height]):
        text = line.text.ljust(width - 1) if line.style == "title" else line.text
        # The last cell of the last line cannot be written without scrolling.
        screen.addnstr(number, 0, text, width - 1, _STYLES[line.style])
    screen.refresh()
