"""Assembly: the parts of a worker put together, in the order in which they need each other."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

from adapters.contract import StartRefusal
from adapters.pacing import TokenBucket
from config.settings import Execution, Settings, SinkKind
from store.errors import StoreRefusedError
from store.ledger import Ledger
from store.paths import DATABASE
from store.projector import Projector
from store.records import Limits, Share
from store.writer import Writer
from streams.choice import open_source, resolve_kind
from streams.codec import MALFORMED_REASONS
from streams.source import Source
from worker.beginning import SOURCE_CHANGED, START_STAMP, begin_of, end_of
from worker.controls import Controls
from worker.daemon import Daemon
from worker.floor import Floor
from worker.gate import Gate
from worker.gauges import put_limits
from worker.gone_files import GoneFiles
from worker.halts import Halts
from worker.lane import Lane
from worker.metrics import STARTS, Metrics
from worker.news import News
from worker.outputs import Outputs, begin_log, log_projector
from worker.pace import Permits, Slots
from worker.parts import Parts
from worker.planning import rules_of
from worker.pruner import Pruner
from worker.pulse import Pulses
from worker.report import Report
from worker.resolver import NotSentRetry, Resolver
from worker.rows import RowBuilder, positions_of, source_positions_of
from worker.shadow_watch import watch_of
from worker.tempo import tempo_of
from worker.version import VERSION
from worker.view import StoreView


class StartRefusedError(Exception):
    """The venue cannot be used now, or not with this account; `kind` decides the exit code."""

    def __init__(self, refusal: StartRefusal) -> None:
        super().__init__(refusal.text)
        self.kind = refusal.kind


def unseen_ms_of(settings: Settings) -> int:
    """How long an order that was reserved may stay unseen although it is accepted (DESIGN 4).

    A venue in this process forgets nothing and shows all of it at once.
    """
    if not settings.execution.mode.touches_exchange:
        return 0
    broker = settings.broker
    return broker.send_window_ms + broker.recv_window_ms + broker.absence_margin_ms + broker.visibility_ms


def limits_of(execution: Execution) -> Limits:
    """The hard limits in force: on every mode that sends orders."""
    risk = execution.risk
    return Limits(risk.max_order_usd, risk.max_orders_per_minute, risk.max_position_usd)


async def assemble(parts: Parts, executor: ThreadPoolExecutor) -> Daemon:
    """All parts of a worker, ready to run: the venue is connected, every symbol knows where it begins.

    Raises StartRefusedError when the venue or the account cannot be used, StoreRefusedError for the source.
    """
    execution, clock = parts.execution, parts.clock
    ledger = Ledger(parts.store, clock, limits=limits_of(execution))
    pulses = Pulses(clock)
    metrics = Metrics(symbols=execution.symbols, malformed_reasons=MALFORMED_REASONS)
    metrics.set_build(version=VERSION, mode=execution.mode.value, adapter=parts.adapter.name)
    metrics.set_rate_limit(execution.rate_limit.max_qps)
    metrics.put(STARTS, parts.store.epoch)
    put_limits(metrics, execution.risk)
    report = Report(metrics, parts.log, clock, success_share=execution.log.success_share)
    writer, outputs = await _writer_and_outputs(parts, ledger, executor, metrics, pulses)
    refusal = await parts.adapter.start(StoreView(ledger, writer))
    if refusal is not None:
        raise StartRefusedError(refusal)
    source = await _source(parts, ledger, writer)
    floor = _floor(parts, writer, ledger, report, source)
    lanes = await _lanes(parts, floor, ledger, source, pulses)
    daemon = Daemon(
        execution=execution,
        floor=floor,
        lanes=lanes,
        ledger=ledger,
        source=source,
        projector=outputs,
        pulses=pulses,
        metrics=metrics,
        log=parts.log,
        notifier=parts.notifier,
        controls=_controls(parts, floor, writer, source, pulses),
        clock=clock,
        started_s=parts.started_s,
        gone_files=_gone_files(parts, writer) if source.kind == "jsonl" else None,
        shadow=watch_of(parts.adapter, metrics, execution.shadow),
        tempo=tempo_of(parts, floor, metrics, pulses),
    )
    daemon.unsettled = ledger.unsettled_summary()
    return daemon


async def _writer_and_outputs(
    parts: Parts, ledger: Ledger, executor: ThreadPoolExecutor, metrics: Metrics, pulses: Pulses
) -> tuple[Writer, Outputs]:
    """Each commit of the one wakes the other."""
    writer_pulse, projector_pulse, log_pulse = map(pulses.of, ("store", "outputs", "execution log"))
    for pulse in (writer_pulse, projector_pulse, log_pulse):
        pulse.waits(math.inf)

    def committed(took_s: float) -> None:
        metrics.commit_took_s(took_s)
        outputs.wake()

    writer = Writer(
        ledger,
        executor=executor,
        clock=parts.clock,
        on_commit=committed,
        on_work=lambda working: writer_pulse.turn() if working else writer_pulse.waits(math.inf),
    )
    folder, execution, clock = parts.store.folder, parts.execution, parts.clock
    projector = Projector(
        folder,
        writer,
        clock,
        with_skipped=execution.debug.log_skipped_signals,
        silent_for=projector_pulse.waits,
    )
    log = log_projector(execution.execlog, folder, execution.output_dir, writer, clock, log_pulse.waits)
    outputs = Outputs(projector, log)
    behind = await begin_log(execution.execlog, folder, execution.output_dir, ledger, writer, clock)
    if behind is not None:
        parts.log.warning("outputs_left_behind", why=behind)
    return writer, outputs


def _controls(parts: Parts, floor: Floor, writer: Writer, source: Source, pulses: Pulses) -> Controls:
    kept_ms = floor.history_ms + floor.unseen_ms
    pruner = Pruner(parts.store, writer, parts.clock, kept_ms, source.reachable_since_ms)
    return Controls(parts.store.folder, floor, parts.execution.symbols, pulses.of("controls"), pruner=pruner)


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
    halts = Halts(parts.store.folder, ledger, writer, parts.log, clock)
    gate = Gate(halts, writer, rules, parts.adapter, clock)
    return Floor(
        writer=writer,
        ledger=ledger,
        adapter=parts.adapter,
        permits=Permits(bucket, clock),
        slots=Slots(execution.rate_limit.max_concurrency),
        halts=halts,
        gate=gate,
        news=News(writer, ledger, halts, report, clock),
        rules=rules,
        rows=RowBuilder(execution, parts.adapter),
        resolver=Resolver(
            writer=writer,
            ledger=ledger,
            adapter=parts.adapter,
            gate=gate,
            retry=execution.retry,
            clock=clock,
            report=report,
        ),
        retrying=NotSentRetry(execution.retry, clock, report),
        report=report,
        clock=clock,
        source_kind=source.kind,
        history_ms=parts.loaded.settings.broker.history_ms,
        unseen_ms=unseen_ms_of(parts.loaded.settings),
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
