"""What a worker that hangs leaves behind: threads and tasks by name, and one stack for a fatal signal."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from worker import whereabouts

ABORTED = """
import os, threading
from worker.whereabouts import leave_one_stack
leave_one_stack()
threading.Thread(target=threading.Event().wait, daemon=True).start()
os.abort()
"""


@contextmanager
def thread_that_waits() -> Iterator[None]:
    free = threading.Event()

    def waits_for_its_disk() -> None:
        free.wait(60)

    thread = threading.Thread(target=waits_for_its_disk, name="disk")
    thread.start()
    try:
        yield
    finally:
        free.set()
        thread.join()


def test_each_thread_is_told_by_its_name_with_the_innermost_calls_first() -> None:
    with thread_that_waits():
        told = whereabouts.of_threads()

    assert "waits_for_its_disk unit/test_whereabouts.py:" in told["disk"]
    assert told["disk"].startswith("Condition.wait ") or told["disk"].startswith("Event.wait ")
    assert "of_threads" in told["MainThread"]


def test_each_task_is_told_by_its_name_with_the_chain_of_what_it_awaits() -> None:
    async def reads() -> None:
        await asyncio.get_running_loop().create_future()

    async def turns() -> None:
        await reads()

    async def told() -> dict[str, str]:
        task = asyncio.create_task(turns(), name="outputs")
        await asyncio.sleep(0)
        found = whereabouts.of_tasks()
        task.cancel()
        return found

    chain = asyncio.run(told())["outputs"]

    assert [frame.split()[0].rpartition(".")[2] for frame in chain.split(", ")] == ["reads", "turns"]


def aborted(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", ABORTED], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_fatal_signal_prints_the_stack_of_the_thread_that_runs_the_loop_alone() -> None:
    ended = aborted("-X", "faulthandler")

    assert ended.returncode == -signal.SIGABRT
    assert ended.stderr.count("most recent call first") == 1
    assert 'File "<string>", line 6 in <module>' in ended.stderr


def test_who_did_not_ask_for_stacks_gets_none() -> None:
    assert aborted().stderr == ""
