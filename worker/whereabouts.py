"""Where everything stands: what a worker that hangs leaves behind for whoever asks why.

Two witnesses. While the event loop still turns, the log tells where each thread and each task waits. When
it does not, systemd's SIGABRT has the interpreter write the stack of the thread that runs the loop. Only
of that one: the threads beside it go on while they are looked at, and a walk along a stack that changes
can end in a segmentation fault, which would take the one stack that matters along.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
import threading
import traceback
from collections.abc import Iterable
from itertools import islice
from types import FrameType

FRAMES_MAX = 6


def leave_one_stack() -> None:
    """Have a fatal signal print one stack, where $PYTHONFAULTHANDLER asked for all of them."""
    if faulthandler.is_enabled():
        faulthandler.enable(all_threads=False)


def of_threads() -> dict[str, str]:
    """Thread name -> its innermost frames, the last call first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()
    return {
        names.get(ident, f"thread {ident}"): _told(traceback.walk_stack(frame))
        for ident, frame in frames.items()
    }


def of_tasks() -> dict[str, str]:
    """Task name -> the frames it waits in, the last call first; must be called on the event loop."""
    return {task.get_name(): _told(_awaited(task)) for task in asyncio.all_tasks() if not task.done()}


def _awaited(task: asyncio.Task[object]) -> list[tuple[FrameType, int]]:
    """The chain of coroutines that await each other: a task's own get_stack() ends at the outermost."""
    found: list[tuple[FrameType, int]] = []
    awaited: object = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        found.append((frame, frame.f_lineno))
        awaited = getattr(awaited, "cr_await", None)
    return found[::-1]


def _told(stack: Iterable[tuple[FrameType, int]]) -> str:
    return ", ".join(
        f"{frame.f_code.co_qualname} {'/'.join(frame.f_code.co_filename.split('/')[-2:])}:{line}"
        for frame, line in islice(stack, FRAMES_MAX)
    )
