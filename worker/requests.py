"""How a person's command reaches the store: through the running worker, or directly when none runs.

The running worker is the only writer; a command leaves its request in the control folder and waits for
the answer. A halt of everything is in force by its file before anybody has answered.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from config.load import Loaded
from config.seams import Clock
from store import control
from store.connection import Store, open_store
from store.control import ControlAnswer, ControlRequest
from store.errors import StoreHeldError
from store.halt_file import write_halt
from store.ledger import Ledger
from store.paths import DATABASE
from store.records import Halt
from store.writer import Writer
from worker.clerk import Clerk
from worker.exits import Exit
from worker.halts import Halts
from worker.logs import configure
from worker.metrics import Metrics
from worker.parts import EXECUTIONS_FOLDER
from worker.report import Report

# The worker looks twice a second; a full disk or a long commit may hold it longer.
ANSWER_S_MAX = 10.0
POLL_S = 0.05
# Who was not answered must not believe that nothing happened: it may have begun, and wait for the disk.
NO_ANSWER = (
    "the worker did not answer within {:.0f} s: what was asked may have come into force, or do so when the "
    "disk is free again; execution-worker status and the log tell"
)


def who_asks() -> str:
    """The person at the keyboard, as far as the system knows."""
    name = os.environ.get("SUDO_USER")
    if name:
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def halt_everything(loaded: Loaded, halt: Halt) -> None:
    """The file first: it holds whatever else can or cannot be reached.

    Raises ControlError when it cannot be written.
    """
    folder = _folder(loaded)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_halt(folder, halt)
    except OSError as error:
        raise control.ControlError(
            f"nothing is halted: no file HALT can be written in {folder} ({error.strerror}): "
            "run this as the user of the worker, or name its folder with --output"
        ) from None


def ask(loaded: Loaded, request: ControlRequest, clock: Clock) -> tuple[Exit, str]:
    """Have the request carried out; the exit code and the sentence to print.

    Raises StoreError when the store is there and cannot be used.
    """
    folder = _folder(loaded)
    if not (folder / DATABASE).exists():
        return Exit.NOT_RUNNING, f"there is no store in {folder}: name its folder with --output"
    try:
        store = open_store(folder, clock=clock, stamps={})
    except StoreHeldError as held:
        return asyncio.run(_ask_worker(folder, request, clock, str(held)))
    try:
        answer = asyncio.run(_obey_here(loaded, store, request, clock))
    finally:
        store.connection.close()
        store.lock.release()
    return Exit(answer.exit_code), answer.text


async def _ask_worker(folder: Path, request: ControlRequest, clock: Clock, held: str) -> tuple[Exit, str]:
    answer = await ask_worker(
        folder, request, clock, f"{clock.wall_ms()}-{os.getpid()}", patience_s=ANSWER_S_MAX
    )
    match answer:
        case None:
            return (
                Exit.HELD_BY_ANOTHER,
                f"{NO_ANSWER.format(ANSWER_S_MAX)} ({held})",
            )
        case control.Unreadable():
            return Exit.DATA, answer.why
    return Exit(answer.exit_code), answer.text


async def ask_worker(
    folder: Path, request: ControlRequest, clock: Clock, key: str, *, patience_s: float
) -> ControlAnswer | control.Unreadable | None:
    """Leave the request for the running worker and wait for its answer; None when none came in time.

    The disk is waited for in a thread: the worker itself may be the one that asks. Raises ControlError.
    """
    await asyncio.to_thread(control.post, folder, request, key)
    end_s = clock.monotonic_s() + patience_s
    try:
        while clock.monotonic_s() < end_s:
            answer = control.read_answer(folder, key)
            if answer is not None:
                return answer
            await clock.sleep(POLL_S)
        return None
    finally:
        # What a broken disk keeps of it is an answer already, or goes after an hour.
        with suppress(OSError):
            await asyncio.to_thread(control.discard, folder, key)


async def _obey_here(loaded: Loaded, store: Store, request: ControlRequest, clock: Clock) -> ControlAnswer:
    ledger = Ledger(store, clock)
    log = configure(loaded.settings.execution.log, None, clock, sys.stderr)
    with ThreadPoolExecutor(max_workers=1) as executor:
        writer = Writer(ledger, executor=executor, clock=clock)
        halts = Halts(store.folder, ledger, writer, log, clock)
        report = Report(Metrics(), log, clock)
        try:
            return await Clerk(ledger, writer, halts, report, clock).obey(request)
        finally:
            log.close()


def _folder(loaded: Loaded) -> Path:
    return loaded.settings.execution.output_dir / EXECUTIONS_FOLDER
