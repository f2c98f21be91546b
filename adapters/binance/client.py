"""Calls to the exchange: time stamp, signature, budget and deadline around one request on the wire.

A call is sent once or not at all; nothing here asks again. What placed or may have placed an order comes
back raw: only the verdicts know what a reply proves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from adapters.binance.budget import Budget
from adapters.binance.deadline import parse_deadline
from adapters.binance.exchange_clock import SAMPLES_MIN, ExchangeClock
from adapters.binance.market import Market
from adapters.binance.signing import Signer
from adapters.binance.transport import HttpReply, Lost, NotConnected, Transport
from adapters.binance.wire import Request, http_request, server_time
from adapters.binance.wire_replies import read_error, read_server_time
from adapters.binance.wire_socket import SUBSCRIPTION, subscription
from adapters.contract import Guard
from config.seams import Clock

# A query that finds no room waits this long for it at most; a whole window would be a minute.
QUERY_WAIT_S_MAX = 5.0
# Quartz is off by some 50 millionths: 15 ms after this long, far less than any window.
CLOCK_AGE_S_MAX = 300.0
# Before the first round of samples the exchange's minute is a guess from the host's wall clock.
UNSYNCED_MARGIN_MS = 5_000
_STOP_STATUSES = frozenset({418, 429})
_STOP_CODES = frozenset({-1003, -1015})
_CLOCK_CODES = frozenset({-1021, -5028})


class Replied(msgspec.Struct, frozen=True):
    """A whole reply, unjudged; header names in lower case, `sent_ms` and `received_ms` host's wall clock."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ms: int = 0
    received_ms: int = 0

    def __repr__(self) -> str:
        """Status and size alone: a body may be a listen key."""
        return f"Replied({self.status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for tracebacks that print local variables."""
        return [("status", self.status), ("body_bytes", len(self.body))]


class NotLeft(msgspec.Struct, frozen=True):
    """Provably nothing left. `retry_at_ms` is the host's wall clock.

    `code`: `held` (the guard's reason), `window_passed`, `budget`, `deadline`, `clock`, `unreachable`.
    """

    code: str
    text: str
    retry_at_ms: int | None = None


class NoAnswer(msgspec.Struct, frozen=True):
    """It may have left, and no whole reply came."""

    why: str


Answer = Replied | NotLeft | NoAnswer


class _Departure:
    """The last questions before the first byte, and the moment at which it left."""

    def __init__(self, guard: Guard | None, obstacle: Callable[[], NotLeft | None], clock: Clock) -> None:
        self._guard = guard
        self._obstacle = obstacle
        self._clock = clock
        self.obstacle: NotLeft | None = None
        self.left_boot_s = 0.0

    def ask(self) -> str | None:
        """The transport's guard: the caller's comes last, so that its answer is the freshest."""
        self.obstacle = self._obstacle()
        if self.obstacle is not None:
            return self.obstacle.text
        reason = None if self._guard is None else self._guard()
        self.left_boot_s = self._clock.boot_s()
        return reason


class Client:
    """One account on one host. Calls may overlap; none raises for the world's faults.

    `signer` None: unsigned calls only. `on_deadline` is told each later deadline (exchange clock), so that
    it outlives a restart; `budget` starts with the one that was kept.
    """

    def __init__(
        self,
        market: Market,
        transport: Transport,
        signer: Signer | None,
        clock: Clock,
        exchange_clock: ExchangeClock,
        budget: Budget,
        *,
        recv_window_ms: int,
        request_timeout_s: float,
        on_deadline: Callable[[int], None] | None = None,
        query_wait_s_max: float = QUERY_WAIT_S_MAX,
        clock_age_s_max: float = CLOCK_AGE_S_MAX,
    ) -> None:
        self.market = market
        self.budget = budget
        self.exchange_clock = exchange_clock
        self._transport = transport
        self._signer = signer
        self._clock = clock
        self._recv_window_ms = recv_window_ms
        self._request_timeout_s = request_timeout_s
        self._on_deadline = on_deadline
        self._query_wait_s_max = query_wait_s_max
        self._clock_age_s_max = clock_age_s_max
        self._clock_doubtful = False
        self._on_clock_doubt: Callable[[], None] | None = None
        self._in_flight = 0
        self._subscription = 0

    @property
    def in_flight(self) -> int:
        """Requests that are with the transport now."""
        return self._in_flight

    @property
    def clock_doubtful(self) -> bool:
        """The exchange refused a time stamp since the last full round of samples: `sync_clock` is urgent."""
        return self._clock_doubtful

    def when_clock_is_doubtful(self, act: Callable[[], None]) -> None:
        """Have `act` called for each refused time stamp, whatever request carried it."""
        self._on_clock_doubt = act

    @property
    def margin_ms(self) -> int:
        """How far the exchange's clock may be from what is assumed, for the budget."""
        clock = self.exchange_clock
        return math.ceil(clock.uncertainty_ms) if clock.synced else UNSYNCED_MARGIN_MS

    async def call(
        self,
        request: Request,
        *,
        guard: Guard | None = None,
        timestamp_max_ms: int | None = None,
        recv_window_ms: int | None = None,
        urgent: bool = False,
    ) -> Answer:
        """Send once. A query waits for its budget, for a bounded time; what places an order never waits.

        No time stamp is later than `timestamp_max_ms` (exchange clock). `urgent` (lookups, cancels) may use
        what ordinary queries leave of the budget.
        """
        answer, _ = await self._call(request, guard, timestamp_max_ms, recv_window_ms, urgent)
        return answer

    async def sync_clock(self, rounds: int = SAMPLES_MIN) -> str | None:
        """Ask for the exchange's time `rounds` times; None when the clock is known then, else why not."""
        request = server_time(self.market)
        for _ in range(rounds):
            answer, left_boot_s = await self._call(request, None, None, None, urgent=True)
            received_boot_s = self._clock.boot_s()
            match answer:
                case NotLeft(text=why) | NoAnswer(why=why):
                    return f"the exchange's clock was not read: {why}"
                case Replied():
                    server_ms = read_server_time(answer.body) if answer.status == 200 else None
                    if server_ms is None:
                        return (
                            f"the exchange's clock was not read: HTTP status {answer.status} without a time"
                        )
                    if not self.exchange_clock.sample(left_boot_s, received_boot_s, server_ms):
                        return "the exchange's clock was not read: the answer took too long to mean anything"
        if not self.exchange_clock.synced:
            return "the exchange's clock was not read: too few samples"
        self._clock_doubtful = False
        return None

    def subscribe(self) -> bytes | None:
        """The signed message that subscribes a web socket to the account's events, made now and never shown.

        None when nothing may leave now; `subscribed` takes the reply.
        """
        if self.obstacle(SUBSCRIPTION, urgent=True) is not None:
            return None
        assert self._signer is not None, "a subscription needs a signer"
        self._subscription = self._take(SUBSCRIPTION)
        timestamp_ms = self.exchange_clock.now_ms()
        return subscription(self._signer, timestamp_ms=timestamp_ms, recv_window_ms=self._recv_window_ms)

    def subscribed(self, reply: HttpReply) -> Replied:
        """The reply to a subscription, its counts and deadlines noted; unjudged, like any other."""
        self._note(self._subscription, reply)
        return Replied(reply.status, reply.headers, reply.body)

    def wall_ms_at(self, exchange_ms: int) -> int:
        """The host's wall clock when the exchange's shows `exchange_ms`."""
        return exchange_ms - self.exchange_clock.offset_ms(self._clock.wall_ms())

    def obstacle(self, request: Request, *, urgent: bool = False) -> NotLeft | None:
        """Why `request` cannot leave at this moment; None when it can. No I/O."""
        signed = request.security == "signed"
        if signed and not self.exchange_clock.synced:
            return NotLeft("clock", "the exchange's clock is not known yet")
        if request.places_order and self.exchange_clock.stale(self._clock_age_s_max):
            return NotLeft("clock", "the exchange's clock was not read for too long")
        now_ms, margin_ms = self.exchange_clock.now_ms(), self.margin_ms
        if request.places_order:
            until_ms = self.budget.wait_for_order(now_ms, margin_ms)
        else:
            until_ms = self.budget.wait_for_query(request.weight, now_ms, margin_ms, urgent=urgent)
        if until_ms is None:
            return None
        retry_at_ms = self.wall_ms_at(until_ms)
        if now_ms < self.budget.deadline_ms:
            return NotLeft("deadline", "the exchange wants to hear nothing until then", retry_at_ms)
        return NotLeft("budget", "the exchange's limits leave no room until then", retry_at_ms)

    async def _call(
        self,
        request: Request,
        guard: Guard | None,
        timestamp_max_ms: int | None,
        recv_window_ms: int | None,
        urgent: bool,
    ) -> tuple[Answer, float]:
        """The answer, and when the first byte left (seconds since boot)."""
        if (obstacle := await self._room(request, urgent)) is not None:
            return obstacle, 0.0
        timestamp_ms = self.exchange_clock.now_ms()
        if timestamp_max_ms is not None and timestamp_ms > timestamp_max_ms:
            return NotLeft("window_passed", "the time for sending this order has passed"), 0.0
        window_ms = self._recv_window_ms if recv_window_ms is None else recv_window_ms

        def late_obstacle() -> NotLeft | None:
            return self._late_obstacle(request, timestamp_ms, window_ms)

        departure = _Departure(guard, late_obstacle, self._clock)
        ticket = self._take(request)
        self._in_flight += 1
        try:
            result = await self._transport.request(
                http_request(request, self._signer, timestamp_ms=timestamp_ms, recv_window_ms=window_ms),
                timeout_s=self._request_timeout_s,
                guard=departure.ask,
            )
        finally:
            self._in_flight -= 1
        match result:
            case HttpReply():
                self._note(ticket, result)
                reply = Replied(
                    result.status, result.headers, result.body, result.sent_ms, result.received_ms
                )
                return reply, departure.left_boot_s
            case NotConnected():
                self.budget.not_sent(ticket)
                if departure.obstacle is not None:
                    return departure.obstacle, 0.0
                return NotLeft("held" if result.held else "unreachable", result.why), 0.0
            case Lost():
                # The ticket stays taken: what was lost on the way may have been counted over there.
                return NoAnswer(result.why), departure.left_boot_s

    async def _room(self, request: Request, urgent: bool) -> NotLeft | None:
        """None when there is room; waits for it when `request` is a query and the wait is short."""
        end_s = self._clock.boot_s() + self._query_wait_s_max
        while (obstacle := self.obstacle(request, urgent=urgent)) is not None:
            if request.places_order or obstacle.retry_at_ms is None:
                return obstacle
            wait_s = max(0.001, (obstacle.retry_at_ms - self._clock.wall_ms()) / 1_000)
            if self._clock.boot_s() + wait_s > end_s:
                return obstacle
            await self._clock.sleep(wait_s)
        return None

    def _late_obstacle(self, request: Request, timestamp_ms: int, window_ms: int) -> NotLeft | None:
        """What came up while the connection was made: a deadline, or a time stamp that grew old."""
        now_ms = self.exchange_clock.now_ms()
        if now_ms < self.budget.deadline_ms:
            retry_at_ms = self.wall_ms_at(self.budget.deadline_ms)
            return NotLeft("deadline", "the exchange wants to hear nothing until then", retry_at_ms)
        if request.security == "signed" and now_ms - timestamp_ms > window_ms // 2:
            return NotLeft("unreachable", "the connection took longer than the time stamp is good for")
        return None

    def _take(self, request: Request) -> int:
        now_ms, margin_ms = self.exchange_clock.now_ms(), self.margin_ms
        if request.places_order:
            return self.budget.take_order(now_ms, margin_ms)
        return self.budget.take_query(request.weight, now_ms, margin_ms)

    def _note(self, ticket: int, reply: HttpReply) -> None:
        """What every reply teaches, whatever it answers: counts, a deadline, a clock that is off."""
        now_ms = self.exchange_clock.now_ms()
        self.budget.answered(ticket, reply.headers, now_ms, self.margin_ms)
        if reply.status < 400:
            return
        error = read_error(reply.body)
        code, text = (error.code, error.msg) if error is not None else (None, "")
        if code in _CLOCK_CODES:
            self._clock_doubtful = True
            if self._on_clock_doubt is not None:
                self._on_clock_doubt()
        if reply.status in _STOP_STATUSES or code in _STOP_CODES:
            before_ms = self.budget.deadline_ms
            until_ms = parse_deadline(reply.status, reply.headers, text, now_ms)
            deadline_ms = self.budget.deadline_until(until_ms, now_ms)
            if deadline_ms > before_ms and self._on_deadline is not None:
                self._on_deadline(deadline_ms)
