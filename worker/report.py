"""What the lanes tell: metrics per batch, and one log line per execution while there are few of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from adapters.contract import Accepted, NotSent, Rejected, SubmitResult, Unknown
from config.seams import Clock
from store.lifecycle import TERMINAL_STATES, State, may_move, status_of
from store.records import Move, Receipt, Reservation, Share
from streams.signal import Record, Signal
from worker.gate import Pending
from worker.logs import Log
from worker.metrics import LAST_SIGNAL, NO_REASON, PRE_DENY_REASONS, Metrics
from worker.planning import SKIP_CODES, Skip
from worker.precheck import PRE_DENY_CODES, SAMPLED_CODES

# A burst of more orders than this is told in one line.
LINES_PER_BURST_MAX = 20
_HASHES = 1 << 32
SKIPPED = frozenset(SKIP_CODES)
SKIPPED_OR_MADE = SKIPPED | {None}
# A signal that is read later tells of a market that is over.
FRESH_MS = 60_000
# Why no order can be made of signals, until a setting is changed: told once, every row has it.
UNMADE_CODES = (
    "no_price",
    "bad_price",
    "stale_price",
    "no_symbol_rules",
    "invalid_quantity",
    "min_notional",
)


@dataclass(slots=True)
class Flow:
    """What has come through since the start, for those who set the pace by it.

    `active` counts the signals that name one of `regimes` as the market's; None: nobody asks.
    """

    eligible: int = 0
    denied: int = 0
    signals: int = 0
    active: int = 0
    regimes: frozenset[str] | None = None

    def count_regimes(self, regimes: frozenset[str]) -> None:
        """From now on somebody asks for these."""
        self.regimes = regimes

    def read(self, records: Sequence[Record], now_ms: int) -> None:
        """A lane has read these at `now_ms`; a backlog says nothing about the market of this moment."""
        regimes = self.regimes
        if regimes is None:
            return
        since_ms = now_ms - FRESH_MS
        found = [
            record.regime for record in records if isinstance(record, Signal) and record.ts_ms >= since_ms
        ]
        self.signals += len(found)
        self.active += sum(1 for regime in found if regime in regimes)


# What only the venue's own words lead to.
VENUE_STATES = (State.OPEN, State.PARTIAL, State.FILLED, State.CANCELED, State.EXPIRED)


class Report:
    """Counts and tells; never decides, never waits."""

    def __init__(self, metrics: Metrics, log: Log, clock: Clock, *, success_share: float = 1.0) -> None:
        self.metrics = metrics
        self.log = log
        self.flow = Flow()
        self._success_share = success_share
        self.last_lag_ms = 0
        self.in_flight = 0
        self._clock = clock
        self._unmade_told: set[str] = set()

    def tells_success(self, client_order_id: str) -> bool:
        """Whether the success of this order gets a line: a share of them, the same ones at every step."""
        return self.log.shows_debug or crc32(client_order_id.encode()) < self._success_share * _HASHES

    def committed(self, share: Share, receipt: Receipt) -> None:
        """Count what a commit made durable."""
        metrics = self.metrics
        new = [
            row for row, row_id in zip(share.reservations, receipt.row_ids, strict=True) if row_id is not None
        ]
        results = Counter(status_of(row.state, has_fills=False) for row in new)
        refused = {(move.row_id, move.after) for move, _ in receipt.refused}
        moved = [
            move
            for move in share.moves
            if (move.after in TERMINAL_STATES or move.after is State.UNKNOWN)
            and (move.row_id, move.after) not in refused
        ]
        results.update(status_of(move.after, has_fills=move.has_fills) for move in moved)
        for status, count in results.items():
            if status != "pending":
                metrics.results(status, count)
        self._tell_settled(share.moves, refused)
        self._count_codes(new, moved, limited=[code for _, code, _ in receipt.limited])
        if new:
            metrics.signals_read(share.symbol, len(new))
            now_ms = self._clock.wall_ms()
            self.last_lag_ms = now_ms - new[-1].signal_ts_ms
            metrics.put(LAST_SIGNAL, new[-1].signal_ts_ms / 1000, share.symbol)
            metrics.lags_ms([now_ms - row.signal_ts_ms for row in new])
            self._skipped(new)
            self._unmade(new)
        if receipt.duplicates:
            metrics.duplicates(receipt.duplicates)
        if receipt.conflicts:
            metrics.conflicting_duplicates(receipt.conflicts)
        for reason, count in Counter(letter.reason for letter in share.dead_letters).items():
            metrics.malformed(reason, count)
        metrics.dead_letters(receipt.dead_letters)
        self._tell_faults(share, receipt)

    def _tell_settled(self, moves: Sequence[Move], refused: set[tuple[int, State]]) -> None:
        """Each order that was told of as unknown gets its end in the log, a success as well."""
        for move in moves:
            if move.before is State.UNKNOWN and (move.row_id, move.after) not in refused:
                self.log.event("order_settled", row=move.row_id, state=move.after, why=move.reason or "found")

    def _count_codes(
        self, new: Sequence[Reservation], moved: Sequence[Move], *, limited: Sequence[str]
    ) -> None:
        """Denials by reason; and of the signals that would have been orders, how many were denied."""
        codes = Counter([row.error_code for row in new])
        refused = len(limited) + sum(codes[reason] for reason in PRE_DENY_CODES)
        # Too many a minute is the rate's own doing: a rate that followed it would swing for ever.
        self.flow.denied += refused - limited.count("risk_rate")
        self.flow.eligible += sum(1 for row in new if row.state is not State.SKIPPED)
        self.flow.eligible += refused + sum(codes[reason] for reason in SAMPLED_CODES)
        codes.update([move.error_code for move in moved])
        self._count_ends(codes, new, moved)
        for reason in PRE_DENY_REASONS:
            if codes[reason]:
                self.metrics.pre_denied(reason, codes[reason])
        for reason in SAMPLED_CODES:
            if codes[reason]:
                self.metrics.throttled(reason, codes[reason])

    def _count_ends(
        self, codes: Counter[str | None], new: Sequence[Reservation], moved: Sequence[Move]
    ) -> None:
        """Why signals became no order, and why orders were refused; the rows are looked at for the few."""
        for code in codes.keys() & SKIPPED:
            self.metrics.skipped(str(code), codes[code])
        if codes.keys() <= SKIPPED_OR_MADE:
            return
        refused = [row.error_code for row in new if row.state is State.REJECTED]
        refused += [move.error_code for move in moved if move.after is State.REJECTED]
        for code, count in Counter(refused).items():
            self.metrics.rejected(code, count)

    def _skipped(self, new: Sequence[Reservation]) -> None:
        """Tell each skip, where every line is wanted."""
        if not self.log.shows_debug:
            return
        for row in new:
            if row.state is State.SKIPPED:
                self.log.debug(
                    "signal_skipped", symbol=row.symbol, signal_id=row.signal_id, code=row.error_code
                )

    def _unmade(self, new: Sequence[Reservation]) -> None:
        """Tell the first signal of which no order can be made, and with it what would let one be made."""
        for row in new:
            code = row.error_code
            if row.state is State.REJECTED and code in UNMADE_CODES and code not in self._unmade_told:
                self._unmade_told.add(code)
                self.log.warning(
                    "signals_without_order", code=code, symbol=row.symbol, why=row.error_msg, told="once"
                )

    def _tell_faults(self, share: Share, receipt: Receipt) -> None:
        for index in receipt.reused:
            row = share.reservations[index]
            self.metrics.results("skip", 1)
            self.metrics.skipped("id_reused")
            self.log.error(
                "signal_id_reused", symbol=row.symbol, signal_id=row.signal_id, at=row.signal_ts_ms
            )
        for index, code, text in receipt.limited:
            row = share.reservations[index]
            self.metrics.results("skip", 1)
            self.metrics.skipped(code)
            self.metrics.pre_denied(code, 1)
            self.log.warning("order_limited", symbol=row.symbol, signal_id=row.signal_id, code=code, why=text)
        for index, why in receipt.failed:
            row = share.reservations[index]
            self.metrics.results("failed", 1)
            self.metrics.rejected("internal_error")
            self.log.error("signal_not_recordable", symbol=row.symbol, signal_id=row.signal_id, why=why)
        for move, why in receipt.refused:
            if move.after in VENUE_STATES and may_move(move.before, move.after):
                # The venue's news of the same order were recorded before its reply.
                self.log.debug("move_overtaken", row=move.row_id, after=move.after)
                continue
            if move.after is State.UNKNOWN:
                self.log.event("order_settled", row=move.row_id, why="its news came, its answer did not")
                continue
            self.log.error("move_refused", symbol=share.symbol, row=move.row_id, after=move.after, why=why)
        for letter in share.dead_letters[:LINES_PER_BURST_MAX]:
            self.log.warning(
                "line_malformed",
                symbol=letter.symbol,
                reason=letter.reason,
                file=letter.file,
                offset=letter.offset,
            )

    def burst(self, symbol: str) -> Burst:
        """Begin to tell of a run of sends."""
        return Burst(self, symbol)

    def throttled(self, reason: str) -> None:
        """A lane begins to wait for a permit (`rate`, `concurrency`) or for the venue (`price`, …)."""
        self.metrics.throttled(reason)

    def waits_for_past(self, symbol: str, why: str) -> None:
        """A lane cannot begin before the venue has told its past orders."""
        self.log.warning("past_orders_awaited", symbol=symbol, why=why)

    def retried(self) -> None:
        """An order that was not sent is tried again."""
        self.metrics.retried()

    def recovered(self, symbol: str, found: int, again: int) -> None:
        """A lane has settled what a former run left in flight."""
        if found:
            self.log.event("lane_recovered", symbol=symbol, in_flight=found, sent_again=again)

    def quarantined(self, symbol: str) -> None:
        """A lane waits for a person."""
        self.log.error("lane_quarantined", symbol=symbol, what_to_do="resolve the order by hand")


class Burst:
    """The orders sent between two commits."""

    def __init__(self, report: Report, symbol: str) -> None:
        self._report = report
        self._symbol = symbol
        self._answers: list[tuple[Pending, SubmitResult | Skip, float]] = []
        report.in_flight += 1

    def answered(self, pending: Pending, result: SubmitResult, latency_ms: float) -> None:
        """One answer of the venue."""
        self._answers.append((pending, result, latency_ms))

    def skipped(self, pending: Pending, why: Skip) -> None:
        """One order that was not sent after all."""
        self._answers.append((pending, why, 0.0))

    def end(self) -> None:
        """Count the burst, and tell it: order by order when it is short."""
        self._report.in_flight -= 1
        counts: Counter[tuple[str, str]] = Counter()
        latencies_s: dict[str, list[float]] = {}
        for _, result, latency_ms in self._answers:
            if isinstance(result, Skip):
                continue
            word, reason = _words(result)
            counts[(word, reason)] += 1
            latencies_s.setdefault(word, []).append(latency_ms / 1000)
        metrics = self._report.metrics
        for (word, reason), count in counts.items():
            metrics.submitted(word, reason, count)
        for word, values in latencies_s.items():
            metrics.submit_latencies_s(word, values)
        if len(self._answers) <= LINES_PER_BURST_MAX:
            for pending, result, latency_ms in self._answers:
                self._tell(pending, result, latency_ms)
        else:
            told = {word: count for (word, _), count in counts.items()}
            self._report.log.event("orders_sent", symbol=self._symbol, count=len(self._answers), **told)

    def _tell(self, pending: Pending, result: SubmitResult | Skip, latency_ms: float) -> None:
        log, order = self._report.log, pending.order
        fields = {
            "symbol": order.symbol,
            "side": "long" if order.side == "buy" else "short",
            "qty": order.qty,
            "price": order.price if order.price is not None else order.intent_price,
            "signal_id": order.signal_id,
            "row": pending.row_id,
        }
        match result:
            case Accepted(update=update):
                if self._report.tells_success(order.client_order_id):
                    log.event(f"order_{update.state}", **fields, took_ms=latency_ms)
            case Rejected():
                log.warning("order_rejected", **fields, code=result.code, why=result.text)
            case NotSent():
                log.warning("order_not_sent", **fields, code=result.code, why=result.text)
            case Unknown():
                log.error("order_unknown", **fields, why=result.why)
            case Skip():
                log.event("order_skipped", **fields, code=result.code, why=result.text)


def _words(result: SubmitResult) -> tuple[str, str]:
    match result:
        case Accepted():
            return "accepted", NO_REASON
        case Rejected():
            return "rejected", result.code
        case NotSent():
            return "not_sent", result.code
        case Unknown():
            return "unknown", NO_REASON
