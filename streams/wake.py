"""Wake-ups: which file of which folder may have changed, as fast as the system says so.

Hints only. A lost, late or doubled one costs time, never a signal: what is new is decided by stat and
read. On Linux the event loop itself reads inotify; where that is refused, watchfiles watches.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

# A hint names a file in the folder, None means that anything in it may have changed.
Hint = Callable[[str, str | None], None]

_IN_MODIFY = 0x0000_0002
_IN_CLOSE_WRITE = 0x0000_0008
_IN_MOVED_FROM = 0x0000_0040
_IN_MOVED_TO = 0x0000_0080
_IN_CREATE = 0x0000_0100
_IN_DELETE = 0x0000_0200
_IN_DELETE_SELF = 0x0000_0400
_IN_MOVE_SELF = 0x0000_0800
_IN_UNMOUNT = 0x0000_2000
_IN_Q_OVERFLOW = 0x0000_4000
_IN_IGNORED = 0x0000_8000
_IN_ONLYDIR = 0x0100_0000

_WATCHED = (
    _IN_MODIFY
    | _IN_CLOSE_WRITE
    | _IN_MOVED_FROM
    | _IN_MOVED_TO
    | _IN_CREATE
    | _IN_DELETE
    | _IN_DELETE_SELF
    | _IN_MOVE_SELF
    | _IN_ONLYDIR
)
_FOLDER_LOST = _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_IGNORED | _IN_UNMOUNT

# No watches or no memory for one are left, as opposed to a folder that is not there.
_REFUSED = (errno.ENOSPC, errno.ENOMEM)

# struct inotify_event of inotify(7): wd, mask, cookie, len, then `len` bytes of name padded with NUL.
_EVENT = struct.Struct("iIII")
# Room for a few hundred events; more are read in the next turn of the loop.
_READ_BYTES = 65_536


class Watcher(Protocol):
    """Something that hints when files in folders change."""

    def watch(self, folder: str) -> bool:
        """Watch `folder` from now on, again if it was; False when that is impossible now."""

    @property
    def prompt(self) -> bool:
        """Whether every change is told at once, so that looking often finds nothing."""

    async def close(self) -> None:
        """Stop; no hint comes afterwards."""


class InotifyWatcher:
    """inotify through the event loop's own selector: no thread, no idle cost.

    The constructor raises OSError where the system refuses an instance.
    """

    def __init__(self, hint: Hint) -> None:
        self._hint = hint
        self._folders: dict[int, str] = {}
        self._portable: PortableWatcher | None = None
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, "this system has no inotify")
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def watch(self, folder: str) -> bool:
        """See `Watcher`; the same folder keeps its watch, a new one of that name gets its own."""
        number: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _WATCHED)
        if number < 0:
            return ctypes.get_errno() in _REFUSED and self._watch_portably(folder)
        for known, name in list(self._folders.items()):
            if name == folder and known != number:
                # The folder of that name is another one now; events of the old one would mislead.
                del self._folders[known]
                self._libc.inotify_rm_watch(self._descriptor, known)
        self._folders[number] = folder
        return True

    @property
    def prompt(self) -> bool:
        """See `Watcher`: as long as no folder had to be watched in the portable way."""
        return self._portable is None

    async def close(self) -> None:
        """See `Watcher`."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._portable is not None:
            await self._portable.close()

    def _watch_portably(self, folder: str) -> bool:
        if self._portable is None:
            self._portable = PortableWatcher(self._hint)
        return self._portable.watch(folder)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        for number, mask, name in _events_in(data):
            if mask & _IN_Q_OVERFLOW:
                for folder in list(self._folders.values()):
                    self._hint(folder, None)
            elif number in self._folders:
                self._tell(number, mask, name)

    def _tell(self, number: int, mask: int, name: str) -> None:
        folder = self._folders[number]
        if mask & _FOLDER_LOST:
            del self._folders[number]
            if not mask & _IN_IGNORED:
                self._libc.inotify_rm_watch(self._descriptor, number)
            # What has the folder's name now, if anything, is watched from here on.
            self.watch(folder)
            self._hint(folder, None)
        elif name:
            self._hint(folder, name)


def _events_in(data: bytes) -> Iterator[tuple[int, int, str]]:
    offset = 0
    while offset < len(data):
        number, mask, _cookie, name_bytes = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        name = data[offset : offset + name_bytes].rstrip(b"\0")
        offset += name_bytes
        yield number, mask, os.fsdecode(name)


class PortableWatcher:
    """watchfiles, where there is no inotify: a few milliseconds slower, and it may miss events."""

    def __init__(self, hint: Hint) -> None:
        self._hint = hint
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()

    def watch(self, folder: str) -> bool:
        """See `Watcher`; a folder that is watched already is watched anew, because it may be another one."""
        if not os.path.isdir(folder):
            return False
        previous = self._tasks.pop(folder, None)
        if previous is not None:
            previous.cancel()
        self._tasks[folder] = asyncio.get_running_loop().create_task(self._run(folder))
        return True

    @property
    def prompt(self) -> bool:
        """See `Watcher`: it misses events without an error."""
        return False

    async def close(self) -> None:
        """See `Watcher`."""
        self._stop.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _run(self, folder: str) -> None:
        # Imported here: 20 ms of start-up that Linux does not need.
        from watchfiles import awatch
        from watchfiles._rust_notify import WatchfilesRustInternalError

        try:
            async for changes in awatch(
                folder,
                watch_filter=None,
                step=5,
                debounce=5,
                recursive=False,
                stop_event=self._stop,
            ):
                for _, path in changes:
                    self._hint(folder, os.path.basename(path))
        except (OSError, WatchfilesRustInternalError):
            # No watch is to be had: the regular stats find everything, only later.
            self._hint(folder, None)


def open_watcher(hint: Hint) -> Watcher:
    """The fastest watcher that this system grants; it may hint before this returns to its caller's task."""
    try:
        return InotifyWatcher(hint)
    except OSError:
        return PortableWatcher(hint)
