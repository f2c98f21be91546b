"""The composition root: from settings to a running worker, and from its end to an exit code."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import socket
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from adapters.contract import ExecutionAdapter
from adapters.pacing import TokenBucket
from adapters.registry import ModeUnavailableError, open_adapter
from config.load import Loaded
from config.seams import Clock, CrashPointError, SystemClock, arm_crash_point_from_environment
from config.settings import Execution, SinkKind
from store.connection import Store, open_store
from store.errors import StoreError, StoreRefusedError, StoreReplacedError
from store.ledger import Ledger
from store.paths import DATABASE
from store.projector import Projector
from store.records import Share
from store.rescue import advice, save_copy
from store.writer import Writer
from streams.choice import open_source, resolve_kind
from streams.codec import MALFORMED_REASONS
from streams.source import Source
from worker.beginning import SOURCE_CHANGED, START_STAMP, begin_of, end_of, without_lane
from worker.daemon import Daemon, WorkerProbe
from worker.exits import Exit
from worker.floor import Floor
from worker.gate import Gate
from worker.gone_files import GoneFiles
from worker.http import BindError, bind_socket, serve
from worker.lane import Lane
from worker.logs import Log, configure
from worker.metrics import Metrics
from worker.notify import Notifier
from worker.options import RunOptions
from worker.pace import Permits
from worker.planning import rules_of
from worker.pulse import Pulses
from worker.report import Report
from worker.resolver import NotSentRetry, Resolver
from worker.rows import RowBuilder, positions_of, source_positions_of
from worker.version import VERSION

EXECUTIONS_FOLDER = "executions"
LOGS_FOLDER = Path("logs") / "execution_worker"
# A batch makes some 20 000 objects, none of them cyclic: collecting more often finds nothing.
GC_ALLOCATIONS = 50_000


def run(loaded: Loaded, options: RunOptions) -> int:
    """Run the worker to its end; the process's exit code. Every fault is told in one sentence."""
    # What start-up made lives for ever; without this every collection would look at all of it again.
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    clock = SystemClock()
    started_s = clock.monotonic_s()
    execution = loaded.settings.execution
    try:
        arm_crash_point_from_environment()
        adapter = open_adapter(loaded.settings)
    except (CrashPointError, ModeUnavailableError) as error:
        # Before anything is written: the folder may not be ours.
        return _refuse(configure(execution.log, None, clock, sys.stderr), Exit.CONFIGURATION, str(error))
    if os.path.isfile(execution.signals_dir) and execution.signals_dir != execution.output_dir:
        sentence = f"signals {execution.signals_dir} is a file, must be a folder: name it with --signals"
        return _refuse(configure(execution.log, None, clock, sys.stderr), Exit.CONFIGURATION, sentence)
    log = configure(execution.log, execution.output_dir / LOGS_FOLDER, clock, sys.stderr)
    notifier = Notifier.from_environment(os.environ)
    try:
        store = _open(execution, clock)
    except StoreError as error:
        return _refuse(log, Exit(error.exit_code), str(error))
    try:
        sock = None if options.once else bind_socket(execution.http.host, execution.http.port)
        parts = Parts(loaded, options, clock, log, notifier, adapter, store, sock, started_s)
        return asyncio.run(_run(parts))
    except BindError as error:
        return _refuse(log, Exit.CONFIGURATION, str(error))
    except StoreReplacedError as error:
        copy = save_copy(store.connection, store.folder, clock.wall_ms())
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
    finally:
        store.connection.close()
        store.lock.release()
        log.close()


def _open(execution: Execution, clock: Clock) -> Store:
    folder = execution.output_dir / EXECUTIONS_FOLDER
    return open_store(folder, clock=clock, stamps={"mode": execution.mode.value, "account": "none"})


def _refuse(log: Log, code: Exit, sentence: str) -> int:
    log.error(
        "worker_refused" if code is Exit.CONFIGURATION else "worker_failed", why=sentence, exit=int(code)
    )
    log.flush()
    return code


@dataclass(frozen=True, slots=True)
class Parts:
    """What is there before the event loop runs."""

    loaded: Loaded
    options: RunOptions
    clock: Clock
    log: Log
    notifier: Notifier
    adapter: ExecutionAdapter
    store: Store
    sock: socket.socket | None
    started_s: float

    @property
    def execution(self) -> Execution:
        """The `execution:` node."""
        return self.loaded.settings.execution


async def _run(parts: Parts) -> int:
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
    loop = asyncio.get_running_loop()
    assembly = asyncio.create_task(_assemble(parts, executor))
    asked_to_stop = asyncio.Event()

    def give_up() -> None:
        asked_to_stop.set()
        assembly.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, give_up)
    try:
        daemon = await assembly
    except asyncio.CancelledError:
        executor.shutdown(wait=True)
        parts.log.event("worker_stopped")
        return Exit.OK
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, daemon, number)
    if asked_to_stop.is_set():
        daemon.stop()
    parts.notifier.ready()
    _announce(parts, daemon)
    try:
        await daemon.run(None if parts.sock is None else lambda: _serve(parts, daemon))
    finally:
        executor.shutdown(wait=True)
        parts.log.event("worker_stopped", **daemon.metrics.totals())
        parts.notifier.close()
    return _unread(parts, daemon) if parts.options.once else Exit.OK


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
    server = await serve(parts.sock, metrics=daemon.metrics, probe=WorkerProbe(daemon))
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


async def _assemble(parts: Parts, executor: ThreadPoolExecutor) -> Daemon:
    execution, clock = parts.execution, parts.clock
    ledger = Ledger(parts.store, clock)
    pulses = Pulses(clock)
    metrics = Metrics(symbols=execution.symbols, malformed_reasons=MALFORMED_REASONS)
    metrics.set_build(version=VERSION, mode=execution.mode.value, adapter=parts.adapter.name)
    metrics.set_rate_limit(execution.rate_limit.max_qps)
    report = Report(metrics, parts.log, clock)
    writer_pulse, projector_pulse = pulses.of("store"), pulses.of("outputs")
    writer_pulse.waits(math.inf)
    projector_pulse.waits(math.inf)

    def committed(took_s: float) -> None:
        metrics.commit_took_s(took_s)
        projector.wake()

    writer = Writer(
        ledger,
        executor=executor,
        clock=clock,
        on_commit=committed,
        on_work=lambda working: writer_pulse.turn() if working else writer_pulse.waits(math.inf),
    )
    projector = Projector(
        parts.store.folder,
        writer,
        clock,
        with_skipped=execution.debug.log_skipped_signals,
        silent_for=projector_pulse.waits,
    )
    source = await _source(parts, ledger, writer)
    floor = _floor(parts, writer, ledger, report, source)
    lanes = await _lanes(parts, floor, ledger, source, pulses)
    daemon = Daemon(
        execution=execution,
        floor=floor,
        lanes=lanes,
        ledger=ledger,
        source=source,
        projector=projector,
        pulses=pulses,
        metrics=metrics,
        log=parts.log,
        notifier=parts.notifier,
        clock=clock,
        started_s=parts.started_s,
        gone_files=_gone_files(parts, writer) if source.kind == "jsonl" else None,
    )
    daemon.unsettled = ledger.unsettled_summary()
    return daemon


def _gone_files(parts: Parts, writer: Writer) -> GoneFiles:
    execution = parts.execution
    return GoneFiles(
        parts.store, writer, parts.clock, signals_dir=execution.signals_dir, symbols=execution.symbols
    )


async def _source(parts: Parts, ledger: Ledger, writer: Writer) -> Source:
    """The source this store belongs to, resolved once and stamped.

    Raises StoreRefusedError when another one is asked for without --accept-source-change.
    """
    execution = parts.execution
    stamped = ledger.stamps().get("source_kind")
    wanted: str = resolve_kind(execution.sink.kind, execution.signals_dir)
    if stamped is None or stamped == wanted:
        kind = wanted
    elif parts.options.accept_source_change:
        parts.log.warning("source_changed", before=stamped, after=wanted, start="now")
        kind = wanted
    elif execution.sink.kind in (SinkKind.AUTO, stamped.partition("_")[0]):
        kind = stamped
    else:
        raise StoreRefusedError(
            f"store {parts.store.folder / DATABASE} has read {stamped} so far, "
            f"this worker is to read {wanted}: "
            f"the same signals may carry other ids there; give --accept-source-change to go on from now, "
            "or give the worker another --output"
        )
    if stamped != kind:
        # In one commit: a kill before the symbols begin must not let them go on where they once were.
        begun = [key for key in ledger.stamps() if key.startswith(START_STAMP)]
        stamps = {"source_kind": kind, **dict.fromkeys(begun, SOURCE_CHANGED)}
        await writer.commit(Share(symbol="", stamps=stamps))
    return open_source(
        kind,
        execution.signals_dir,
        settings=execution.source,
        clock=parts.clock,
        once=parts.options.once,
        symbols=execution.symbols,
    )


def _floor(parts: Parts, writer: Writer, ledger: Ledger, report: Report, source: Source) -> Floor:
    execution, clock = parts.execution, parts.clock
    rules = rules_of(execution)
    bucket = TokenBucket(execution.rate_limit.max_qps, now_s=clock.monotonic_s())
    retrying = NotSentRetry(execution.retry, clock, report)
    return Floor(
        writer=writer,
        adapter=parts.adapter,
        permits=Permits(bucket, clock),
        slots=asyncio.Semaphore(execution.rate_limit.max_concurrency),
        gate=Gate(parts.store.folder, writer, rules),
        rules=rules,
        rows=RowBuilder(execution, parts.adapter),
        resolver=Resolver(
            writer=writer,
            ledger=ledger,
            adapter=parts.adapter,
            rules=rules,
            retry=execution.retry,
            clock=clock,
            report=report,
        ),
        retrying=retrying,
        report=report,
        clock=clock,
        source_kind=source.kind,
        once=parts.options.once,
    )


async def _lanes(parts: Parts, floor: Floor, ledger: Ledger, source: Source, pulses: Pulses) -> list[Lane]:
    symbols = parts.execution.symbols
    try:
        return [await _lane(parts, floor, ledger, source, symbol, pulses) for symbol in symbols]
    except BaseException:
        # Its thread would keep the process from ending.
        await source.close()
        raise


async def _lane(
    parts: Parts, floor: Floor, ledger: Ledger, source: Source, symbol: str, pulses: Pulses
) -> Lane:
    """The lane of one symbol, resumed from its positions or started where the first start begins."""
    stored = ledger.positions(symbol, source.kind)
    feed = source.feed(symbol, source_positions_of(stored))
    key = f"{START_STAMP}{source.kind}:{symbol}"
    stamps = ledger.stamps()
    begin = stamps.get(key, SOURCE_CHANGED)
    if begin == SOURCE_CHANGED:
        begin = begin_of(symbol, stamps, parts.options, parts.execution.mode)
        positions = positions_of(await end_of(feed, parts.log)) if begin == "now" else []
        share = Share(symbol=symbol, positions=positions, stamps={key: begin})
        await floor.writer.commit(share)
        feed = source.feed(symbol, source_positions_of(positions))
    elif parts.options.start is not None and str(parts.options.start) != begin:
        parts.log.warning("start_ignored", symbol=symbol, asked=parts.options.start, began=begin)
    return Lane(
        floor,
        feed,
        pulses.of(f"lane {symbol}"),
        start_ms=int(begin) if begin.isdigit() else None,
        last_order_ts_ms=ledger.last_order_ts_ms(symbol),
    )
