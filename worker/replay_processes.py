"""A replay on several cores: one process a symbol, no more of them at a time than there are cores.

Symbols do not touch each other in a replay. None of the processes outlives this one: each ends when its
connection does.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Final, TypeAlias

from worker.replay_child import ENDINGS
from worker.replay_share import Job, Outcome, Reached

_Channel: TypeAlias = "Connection[object, object]"

# The path of modules comes from here, as nothing else says where this program lies.
_BEGIN: Final = "import sys; sys.path[:] = sys.argv[1:-1]; from worker.replay_child import main; main()"


class ProcessEndedError(Exception):
    """A process of the replay is gone without a result; the message is the whole sentence."""


def _begun(channel: int, lock: int) -> subprocess.Popen[bytes]:
    # Ctrl-C reaches every process of a terminal; what it means is for this one to say.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _BEGIN, *sys.path, str(channel)],
            stdin=subprocess.DEVNULL,
            pass_fds=(channel, lock),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Child:
    """One process and the way to it."""

    def __init__(self, job: Job, lock: int) -> None:
        self.job = job
        self.at = Reached(0, 0)
        self.outcome: Outcome | None = None
        try:
            self.channel, theirs = Pipe()
            with theirs:
                self.process = _begun(theirs.fileno(), lock)
        except OSError as error:
            raise ProcessEndedError(
                f"no process can be begun to replay {job.symbol} ({(error.strerror or str(error)).lower()}):"
                " run it with --processes 1"
            ) from None

    def begin(self) -> None:
        """Hand the job over."""
        try:
            self.channel.send(self.job)
        except OSError:
            raise self.gone() from None

    def hear(self) -> bool:
        """Take what it says; whether it has said its last. Raises what it ended with, ProcessEndedError."""
        try:
            told = self.channel.recv()
        except (EOFError, OSError):
            raise self.gone() from None
        if isinstance(told, ENDINGS):
            raise told
        if isinstance(told, Reached):
            self.at = told
            return False
        assert isinstance(told, Outcome), told
        self.outcome = told
        return True

    def gone(self) -> ProcessEndedError:
        """What to say of a process that ended on its own."""
        code = self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        return ProcessEndedError(
            f"the process that replayed {self.job.symbol} {how}, nothing was published: run it again, or with"
            " --processes 1"
        )

    def end(self) -> None:
        """Let nothing of it be left."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


def run_jobs(
    jobs: Sequence[Job], at_once: int, lock: int, reached: Callable[[int, int], None]
) -> list[Outcome]:
    """What each job came to, in their order; the first are begun first, `at_once` of them at a time.

    Raises ProcessEndedError, and what a process ended with: WholeInputError, BacktestError,
    ReplayOutputError. `lock` is a descriptor that is held until all processes are gone.
    """
    children: list[_Child] = []
    running: dict[_Channel, _Child] = {}
    try:
        while len(children) < len(jobs) or running:
            while len(children) < len(jobs) and len(running) < at_once:
                child = _Child(jobs[len(children)], lock)
                children.append(child)
                running[child.channel] = child
                child.begin()
            for channel in wait(list(running)):
                assert isinstance(channel, Connection), channel
                if running[channel].hear():
                    child = running.pop(channel)
                    child.end()
            reached(sum(each.at.done for each in children), sum(each.at.records for each in children))
    finally:
        for child in running.values():
            child.end()
    return [child.outcome for child in children if child.outcome is not None]
