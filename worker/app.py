"""The composition root: from settings to a running worker, and from its end to an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.binance.credentials import Credentials, CredentialsError
from adapters.registry import ModeUnavailableError, credentials_for, open_adapter
from config.load import Loaded
from config.seams import Clock, CrashPointError, SystemClock, arm_crash_point_from_environment
from config.secret_file import SecretFileError
from config.settings import Execution
from store.account_lock import AccountLock
from store.connection import Store, open_store
from store.errors import StoreError, StoreReplacedError
from store.paths import DATABASE
from store.rescue import advice, save_copy
from store.wal_room import make_room
from worker.assembly import StartRefusedError, assemble
from worker.beginning import without_lane
from worker.daemon import Daemon
from worker.exits import Exit
from worker.http import BindError, bind_socket, serve
from worker.http_desk import Desk
from worker.http_token import TokenFile, check_token
from worker.logs import Log, configure
from worker.notices.health import is_well
from worker.notices.herald import herald_of
from worker.notices.places import Places, PlacesError, places_of
from worker.notify import Notifier
from worker.options import RunOptions
from worker.page.sights import Sights
from worker.parts import EXECUTIONS_FOLDER, Parts, lock_name_of
from worker.probe import WorkerProbe
from worker.shadow_start import ShadowParts, shadow_of
from worker.version import VERSION
from worker.whereabouts import leave_one_stack

LOGS_FOLDER = Path("logs") / "execution_worker"
# A batch makes some 20 000 objects, none of them cyclic: collecting more often finds nothing.
GC_ALLOCATIONS = 50_000


_REFUSALS = {
    "unavailable": Exit.EXCHANGE_UNAVAILABLE,
    "permission": Exit.PERMISSION,
    "configuration": Exit.CONFIGURATION,
}


def run(loaded: Loaded, options: RunOptions) -> int:
    """Run the worker to its end; the process's exit code. Every fault is told in one sentence."""
    # What start-up made lives for ever; without this every collection would look at all of it again.
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    clock = SystemClock()
    started_s = clock.monotonic_s()
    execution = loaded.settings.execution
    credentials: Credentials | None = None
    shadow: ShadowParts | None = None
    refusal: tuple[Exit, str] | None = None
    herald = herald_of(execution.notify, Places(), mode=execution.mode.value, clock=clock)
    try:
        # First, so that whatever comes next is told to people.
        places = places_of(execution.notify, os.environ)
        herald = herald_of(execution.notify, places, mode=execution.mode.value, clock=clock)
        arm_crash_point_from_environment()
        check_token(None if options.once else execution.http.token_file, os.environ)
        credentials = credentials_for(loaded.settings, os.environ)
        adapter = open_adapter(loaded.settings, clock=clock, credentials=credentials)
        shadow = shadow_of(loaded.settings, os.environ, credentials)
        adapter = adapter if shadow is None else shadow.around(adapter, clock)
    except (CrashPointError, ModeUnavailableError) as error:
        refusal = (Exit.CONFIGURATION, str(error))
    except (CredentialsError, SecretFileError, PlacesError) as error:
        refusal = (_REFUSALS[error.kind], str(error))
    refusal = _signals_refused(execution) or refusal
    # Before a refusal nothing is written: the folder may not be ours.
    logs = None if refusal is not None else execution.output_dir / LOGS_FOLDER
    log = configure(execution.log, logs, clock, sys.stderr)
    herald.listen_to(log, logs)
    with contextlib.ExitStack() as held:
        held.callback(log.close)
        held.callback(herald.last_words)
        if refusal is not None:
            return _refuse(log, *refusal)
        traded = _traded(loaded, credentials, shadow)
        for text in (text for one, _ in traded for text in one.hidden):
            log.redact(text)
        notifier = Notifier.from_environment(os.environ)
        account = "none" if credentials is None else credentials.fingerprint
        try:
            store = _open(execution, clock, account)
            held.callback(_release, store)
            for _, lock_name in traded:
                held.callback(AccountLock.acquire(lock_name).release)
        except StoreError as error:
            return _refuse(log, Exit(error.exit_code), str(error))
        start = (loaded, options, clock, log, notifier, adapter, store)
        return _run_on(store, lambda sock: Parts(*start, sock, started_s, herald))


def _signals_refused(execution: Execution) -> tuple[Exit, str] | None:
    folder = execution.signals_dir
    if not os.path.isfile(folder) or folder == execution.output_dir:
        return None
    return Exit.CONFIGURATION, f"signals {folder} is a file, must be a folder: name it with --signals"


def _traded(
    loaded: Loaded, credentials: Credentials | None, shadow: ShadowParts | None
) -> list[tuple[Credentials, str]]:
    """Each account that this worker sends orders to, with the name of its lock."""
    found = []
    if credentials is not None:
        found.append((credentials, lock_name_of(credentials.fingerprint, loaded.settings.broker)))
    if shadow is not None:
        found.append((shadow.credentials, shadow.lock_name))
    return found


def _run_on(store: Store, parts_with: Callable[[socket.socket | None], Parts]) -> int:
    """The part of a run that has a store; each way in which it can end by itself is a sentence."""
    leave_one_stack()
    parts = parts_with(None)
    log, http = parts.log, parts.execution.http
    try:
        parts = parts_with(None if parts.options.once else bind_socket(http.host, http.port))
        return asyncio.run(_run_heard(parts))
    except BindError as error:
        return _refuse(log, Exit.CONFIGURATION, str(error))
    except StartRefusedError as error:
        return _refuse(log, _REFUSALS[error.kind], str(error), by="exchange")
    except StoreReplacedError as error:
        copy = save_copy(store.connection, store.folder, parts.clock.wall_ms())
        return _refuse(log, Exit.CANNOT_WRITE, f"{error}; {advice(store.folder, copy)}")
    except StoreError as error:
        return _refuse(log, Exit(error.exit_code), str(error))
    except sqlite3.Error as error:
        # Writes have their own verdicts and signals are read without raising: this is a page of the store.
        return _refuse(
            log,
            Exit.DATA,
            f"store {store.path} cannot be read ({error}): check the disk, keep a copy, "
            "then restore a backup",
        )


def _open(execution: Execution, clock: Clock, account: str) -> Store:
    folder = execution.output_dir / EXECUTIONS_FOLDER
    return open_store(folder, clock=clock, stamps={"mode": execution.mode.value, "account": account})


def _release(store: Store) -> None:
    store.connection.close()
    store.lock.release()


def _refuse(log: Log, code: Exit, sentence: str, **more: str) -> int:
    name = "worker_refused" if code is Exit.CONFIGURATION else "worker_failed"
    log.error(name, why=sentence, exit=int(code), **more)
    log.flush()
    return code


async def _run_heard(parts: Parts) -> int:
    """A run of which people are told."""
    assert parts.herald is not None
    async with parts.herald.at_work():
        return await _run(parts)


async def _run(parts: Parts) -> int:
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
    loop = asyncio.get_running_loop()
    assembly = asyncio.create_task(assemble(parts, executor))
    asked_to_stop = asyncio.Event()

    def give_up() -> None:
        asked_to_stop.set()
        assembly.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, give_up)
    try:
        daemon = await assembly
    except asyncio.CancelledError:
        parts.log.event("worker_stopped")
        return Exit.OK
    finally:
        if not assembly.done() or assembly.cancelled() or assembly.exception() is not None:
            await parts.adapter.close()
            executor.shutdown(wait=True)
    if parts.adapter.batch_max == 1:
        await _make_room(parts, executor)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, daemon, number)
    if asked_to_stop.is_set():
        daemon.stop()
    parts.notifier.ready()
    _announce(parts, daemon)
    if parts.herald is not None:
        parts.herald.ping_while(lambda: is_well(daemon))
    try:
        await daemon.run(None if parts.sock is None else lambda: _serve(parts, daemon))
    finally:
        executor.shutdown(wait=True)
        parts.log.event("worker_stopped", **daemon.metrics.totals())
        parts.notifier.close()
    return _unread(parts, daemon) if parts.options.once else Exit.OK


async def _make_room(parts: Parts, executor: ThreadPoolExecutor) -> None:
    """Each order will wait for a commit of its own."""
    store = parts.store
    why = await asyncio.get_running_loop().run_in_executor(executor, make_room, store.connection, store.path)
    if why is not None:
        parts.log.warning("commits_slower", why=why)


def _unread(parts: Parts, daemon: Daemon) -> Exit:
    """How a run with --once ends: what could not be read is told, and is no success when it was there."""
    unreadable = daemon.source.counters.ignored_files.get("unreadable", 0)
    if unreadable:
        parts.log.error(
            "files_not_read", files=unreadable, why="this user may not read them, or the disk fails"
        )
    states = [(lane.symbol, lane.feed.state()) for lane in daemon.lanes]
    for symbol, state in states:
        if state.waiting_for is not None:
            parts.log.warning("signals_not_read", symbol=symbol, why=state.waiting_for)
    return Exit.DATA if unreadable or any(state.fault for _, state in states) else Exit.OK


def _on_signal(daemon: Daemon, number: int) -> None:
    """The first signal ends cleanly; a second one at once, and what was in flight is recovered later."""
    if daemon.stopping:
        os._exit(128 + number)
    daemon.stop()


def _announce(parts: Parts, daemon: Daemon) -> None:
    execution = parts.execution
    parts.log.event(
        "worker_ready",
        version=VERSION,
        pid=os.getpid(),
        mode=execution.mode.value,
        symbols=",".join(execution.symbols),
        source=daemon.source.kind,
        signals=execution.signals_dir,
        store=parts.store.folder / DATABASE,
        http=None if parts.sock is None else "{}:{}".format(*parts.sock.getsockname()[:2]),
        orders_told=f"{execution.log.success_share:.0%} of the successes, every failure",
    )
    for warning in parts.loaded.warnings:
        parts.log.warning("configuration_warned", why=warning)
    for symbol, count in without_lane(daemon.unsettled, execution.symbols).items():
        parts.log.warning(
            "orders_left_unsettled",
            symbol=symbol,
            orders=count,
            what_to_do="enable the symbol again until its orders are settled",
        )


async def _serve(parts: Parts, daemon: Daemon) -> None:
    """Serve for as long as the worker lives."""
    assert parts.sock is not None
    sights = Sights(parts.execution.output_dir, daemon.history, parts.clock)
    desk = _desk(parts, daemon)
    server = await serve(
        parts.sock, metrics=daemon.metrics, probe=WorkerProbe(daemon), sights=sights, desk=desk
    )
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def _desk(parts: Parts, daemon: Daemon) -> Desk:
    """Where halts and resumes over HTTP are taken, if there is a token for them."""
    path = parts.execution.http.token_file
    token = None if path is None else TokenFile(path, os.environ, hide=parts.log.redact)
    return Desk(token, parts.store.folder, daemon.floor.halts, parts.log, parts.clock)
