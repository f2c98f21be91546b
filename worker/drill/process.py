"""The processes of a drill: this very program, in an environment made from nothing.

Nothing of the caller's environment reaches them, so no key, no address and no confirmation does. They end
with the drill, whatever ends the drill: in order, by a signal, or together with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import worker
from config.seams import Clock

POLL_S = 0.02
PATIENCE_S = 60.0
TAIL_BYTES = 1_500
PR_SET_PDEATHSIG = 1
# Python keeps what it compiled beside the drills of one command, not beside the program.
COMPILED = "compiled"
# The code that is drilled is the one that this package lies in, wherever the caller took it from.
CODE = Path(worker.__file__).resolve().parent.parent

_prctl = ctypes.CDLL(None).prctl


class DrillError(Exception):
    """A drill that could not be carried out; the text says what was in the way."""


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it is gone."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """All that a process of a drill knows of its surroundings; `folder` is its home and its scratch.

    The folder around it, which all drills of one command share, is the drill's own as well.
    """
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(CODE),
        "PYTHONPYCACHEPREFIX": str(folder.parent / COMPILED),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def program(*arguments: str) -> list[str]:
    """The command line of this program with other arguments."""
    return [sys.executable, "-m", "worker", *arguments]


class Process:
    """One started process in a group of its own, its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, folder: Path, **more: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment(folder, **more),
                process_group=0,
                preexec_fn=die_with_parent,
            )
        self.pid = self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def kill(self) -> int:
        """SIGKILL to the whole group, at once; the exit code. May be repeated."""
        if self.code is None:
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def ask(self, number: int) -> None:
        """Send a signal, and wait for nothing."""
        self._process.send_signal(number)

    async def wait(self, clock: Clock, patience_s: float = PATIENCE_S) -> int | None:
        """The exit code, None when it still runs after `patience_s`."""
        until_s = clock.monotonic_s() + patience_s
        while self.code is None and clock.monotonic_s() < until_s:
            await clock.sleep(POLL_S)
        return self.code

    async def stop(self, clock: Clock, patience_s: float = PATIENCE_S) -> int:
        """SIGTERM; the exit code. Raises DrillError when it does not end, and ends it all the same."""
        self.ask(signal.SIGTERM)
        code = await self.wait(clock, patience_s)
        if code is None:
            self.kill()
            raise DrillError(
                f"{self.log.name}: still there {patience_s:.0f} s after SIGTERM; it said {self.tail()}"
            )
        return code

    async def line_with(self, words: str, clock: Clock, patience_s: float = PATIENCE_S) -> str | None:
        """The first whole line that holds `words`, as soon as it is there; None when it will not come."""
        until_s = clock.monotonic_s() + patience_s
        while True:
            ended = self.code is not None
            text = self.log.read_text(errors="replace")
            found = next((line for line in text.split("\n")[:-1] if words in line), None)
            if found is not None:
                return found
            if ended or clock.monotonic_s() > until_s:
                return None
            await clock.sleep(POLL_S)

    def tail(self) -> str:
        """The last of what it said, for a complaint."""
        data = self.log.read_bytes()[-TAIL_BYTES:]
        return data.decode("utf-8", "replace").strip() or "nothing"
