"""The exchange in one object: requests in, replies and stream messages out, time handed in.

Pure: no socket, no clock, no file. The same calls with the same seed lead to the same replies, so that
whole days of trouble can be replayed. `journal` sees every accepted order, fill and cancellation once,
in order; it is the witness that drills judge by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from adapters.exchange import terms
from adapters.exchange.accounts import Account
from adapters.exchange.call import Call, Endpoint, Venue
from adapters.exchange.control import PREFIX, handle_control, snapshot
from adapters.exchange.faults import FaultPlan, FaultRule
from adapters.exchange.futures_words import FuturesWords
from adapters.exchange.gateway import admit, check_params, read_params
from adapters.exchange.journal import Entry, Journal, JournalSink
from adapters.exchange.limits import Limiter
from adapters.exchange.matching import Matcher, Quotes
from adapters.exchange.messages import Incoming, Push, Reply
from adapters.exchange.orders import Book
from adapters.exchange.prices import FixedPrices, PriceFeed
from adapters.exchange.refusals import NOT_ASCII, Refusal, unknown_path
from adapters.exchange.replay import replay
from adapters.exchange.routes import ROUTES
from adapters.exchange.socket_api import SocketApi
from adapters.exchange.spot_words import SpotWords
from adapters.exchange.streams import UserStreams
from adapters.exchange.strikes import BANNED_MS, CLOSED_MS, JSON_TYPE, is_executed, masked
from adapters.exchange.terms import DEFAULT_KEYS, FillPolicy, Key, MarketName, RateLimits, SymbolRules
from adapters.exchange.timeline import Timeline
from config.seams import seeded_random

FIRST_ORDER_ID = 8_000_000_000


class Exchange:
    """One market (`futures` or `spot`) with its accounts, book and streams."""

    def __init__(
        self,
        *,
        start_ms: int,
        market: MarketName = "futures",
        rules: Sequence[SymbolRules] | None = None,
        keys: Mapping[str, str | Key] = DEFAULT_KEYS,
        seed: int = 0,
        faults: FaultPlan | None = None,
        prices: PriceFeed | None = None,
        journal: JournalSink | None = None,
        policy: FillPolicy | None = None,
        limits: RateLimits | None = None,
        balances: Mapping[str, Decimal] | None = None,
    ) -> None:
        futures = market == "futures"
        if rules is None:
            rules = terms.FUTURES_RULES if futures else terms.SPOT_RULES
        if limits is None:
            limits = terms.FUTURES_LIMITS if futures else terms.SPOT_LIMITS
        if balances is None:
            balances = terms.FUTURES_BALANCES if futures else terms.SPOT_BALANCES
        self._balances = balances
        self._venue = _venue(market, start_ms, rules, keys, seed, faults, prices, journal, policy, limits)
        for key in self._venue.keys.values():
            self._venue.accounts.setdefault(key.account, Account(key.account, dict(balances)))
        self._sockets = SocketApi(self._venue)

    def handle(self, incoming: Incoming, now_ms: int) -> Reply:
        """Answer one request at `now_ms`, after everything that was due before it."""
        self.advance(now_ms)
        venue = self._venue
        if incoming.path.startswith(PREFIX):
            return handle_control(venue, incoming)
        if not (incoming.path.isascii() and incoming.query.isascii()):
            return _refused(NOT_ASCII)
        endpoint = ROUTES[venue.market].get((incoming.method, incoming.path))
        if endpoint is None:
            return _refused(unknown_path(incoming.method, incoming.path))
        params = read_params(incoming)
        if isinstance(params, Refusal):
            return _refused(params)
        call = Call(endpoint, params, incoming.peer)
        strikes = venue.faults.strikes(
            (endpoint.name, f"{incoming.method} {incoming.path}"),
            symbol=params.get("symbol", ""),
            client_id=_client_id(call),
            now_ms=venue.timeline.host_ms,
        )
        return self._struck(call, incoming, strikes) if strikes else self._answer(call, incoming)

    def _answer(self, call: Call, incoming: Incoming) -> Reply:
        """The true answer: limits, gateway, then the endpoint's own."""
        venue, now_ms = self._venue, self._venue.timeline.now_ms
        over = venue.limiter.take_weight(call.peer, _weight(call.endpoint, call.params), now_ms)
        used = ("X-MBX-USED-WEIGHT-1M", str(venue.limiter.used_weight(call.peer)))
        refusal = over or check_params(call.params) or admit(venue, call, incoming)
        if refusal is not None:
            return _refused(refusal, used)
        result = call.endpoint.handler(venue, call)
        if isinstance(result, Refusal):
            return _refused(result, used)
        headers = [JSON_TYPE, used]
        if call.endpoint.places_order:
            counts = venue.limiter.order_counts(call.owner.name, now_ms)
            headers += [(f"X-MBX-ORDER-COUNT-{name}", str(count)) for name, count in counts.items()]
        return Reply(200, msgspec.json.encode(result), tuple(headers))

    def _struck(self, call: Call, incoming: Incoming, strikes: Sequence[FaultRule]) -> Reply:
        """The answer as the fault plan lets it be seen."""
        answer: FaultRule | None = None
        delay_s = 0.0
        for rule in strikes:
            match rule.kind:
                case "late":
                    call.late_ms = max(rule.delay_ms, 1)
                case "slow":
                    delay_s += rule.delay_ms / 1_000
                case "invisible":
                    call.hidden_ms = rule.delay_ms
                    call.unlisted_ms = rule.delay_ms if rule.scope == "all" else 0
                case _:
                    answer = rule
        if call.late_ms and answer is None:
            # Nobody can be told of an order that is not there yet.
            answer = FaultRule(kind="reset_after")
        self._note(call, strikes)
        reply = self._masked(call, incoming, answer)
        return msgspec.structs.replace(reply, delay_s=delay_s) if delay_s else reply

    def _masked(self, call: Call, incoming: Incoming, answer: FaultRule | None) -> Reply:
        limiter, now_ms = self._venue.limiter, self._venue.timeline.now_ms
        if answer is None:
            return self._answer(call, incoming)
        if answer.kind == "http_429":
            return _refused(limiter.close(call.peer, now_ms, answer.delay_ms or CLOSED_MS))
        if answer.kind == "http_418":
            return _refused(limiter.ban(call.peer, now_ms, answer.delay_ms or BANNED_MS))
        if is_executed(answer) or call.late_ms:
            return masked(answer, self._answer(call, incoming))
        return masked(answer, Reply(200, b"{}", (JSON_TYPE,)))

    def _note(self, call: Call, strikes: Sequence[FaultRule]) -> None:
        for rule in strikes:
            self._venue.journal.write(
                "fault",
                fault=rule.kind,
                endpoint=call.endpoint.name,
                symbol=call.params.get("symbol", ""),
                client_order_id=_client_id(call),
                executed=is_executed(rule) or bool(call.late_ms),
                delay_ms=rule.delay_ms,
            )

    def advance(self, now_ms: int) -> None:
        """Let everything happen that is due: late acceptances, prices, fills, expiries."""
        venue = self._venue
        while True:
            due_ms = self.next_event_ms()
            if due_ms is None or due_ms > now_ms:
                break
            if due_ms == venue.feed.next_change_ms():
                self._move_prices(due_ms, now_ms)
            else:
                venue.timeline.run_next()
        venue.timeline.move_to(now_ms)

    def _move_prices(self, due_ms: int, now_ms: int) -> None:
        venue = self._venue
        venue.timeline.move_to(due_ms)
        if venue.book.anything_open():
            venue.feed.advance(due_ms)
            venue.matcher.on_prices()
        else:
            # Nobody waits for the prices in between.
            next_ms = venue.timeline.next_ms()
            venue.feed.advance(max(due_ms, now_ms if next_ms is None else min(now_ms, next_ms)))

    def next_event_ms(self) -> int | None:
        """When `advance` has something to do next; None: only requests will change anything."""
        moments = (self._venue.timeline.next_ms(), self._venue.feed.next_change_ms())
        return min((moment for moment in moments if moment is not None), default=None)

    def take_pushes(self) -> list[Push]:
        """The stream messages since the last call, in the order in which they are to be sent."""
        return self._venue.streams.take()

    def open_stream(self, listen_key: str, now_ms: int) -> bool:
        """Whether a connection for `listen_key` may be opened; an unknown or expired one may not."""
        self.advance(now_ms)
        return self._venue.streams.is_open(listen_key)

    def handle_socket(self, connection: str, message: bytes, now_ms: int) -> bytes:
        """Answer one WebSocket API message (spot user stream); pushes for it carry `connection` as key."""
        self.advance(now_ms)
        return self._sockets.handle(connection, message)

    def close_socket(self, connection: str) -> None:
        """A WebSocket API connection is gone, and its subscription with it."""
        self._venue.streams.unsubscribe(connection)

    def add_symbol(self, rules: SymbolRules) -> None:
        """List another symbol, or the same one under new rules."""
        self._venue.rules[rules.symbol] = rules

    def set_price(self, symbol: str, price: Decimal) -> None:
        """From now on `symbol` costs `price`; limit orders that it crosses fill."""
        self._venue.feed.set_price(symbol, price)
        self._venue.matcher.on_prices()

    @property
    def faults(self) -> FaultPlan:
        """The plan in force; rules may be added and replaced at any time."""
        return self._venue.faults

    @property
    def journal(self) -> Sequence[Entry]:
        """Every entry so far, those of a former run included."""
        return self._venue.journal.entries

    def restore(self, entries: Iterable[Entry]) -> None:
        """Begin with the orders, fills and positions of a former run's journal; only before any request.

        Raises JournalError for entries that no journal of ours holds. Listen keys are not in it.
        """
        replay(self._venue, entries, self._balances)

    def snapshot(self) -> dict[str, object]:
        """Orders, positions, balances and counts as JSON-able values, for people and tests."""
        return snapshot(self._venue)


def _venue(
    market: MarketName,
    start_ms: int,
    rules: Sequence[SymbolRules],
    keys: Mapping[str, str | Key],
    seed: int,
    faults: FaultPlan | None,
    prices: PriceFeed | None,
    sink: JournalSink | None,
    policy: FillPolicy | None,
    limits: RateLimits,
) -> Venue:
    """The parts, put together."""
    by_symbol = {one.symbol: one for one in rules}
    plan = faults or FaultPlan((), seeded_random(seed + 1))
    timeline = Timeline(start_ms, plan.skew_ms)
    plan.begin(lambda: timeline.host_ms)
    feed = prices or FixedPrices({one.symbol: one.start_price for one in rules})
    fills = policy or FillPolicy()
    accounts: dict[str, Account] = {}
    book, quotes = Book(FIRST_ORDER_ID), Quotes(by_symbol, feed, fills)
    streams = UserStreams(timeline, plan, seeded_random(seed + 2))
    journal = Journal(timeline, sink)
    words = FuturesWords() if market == "futures" else SpotWords()
    return Venue(
        market=market,
        rules=by_symbol,
        keys={name: key if isinstance(key, Key) else Key(key) for name, key in keys.items()},
        accounts=accounts,
        timeline=timeline,
        feed=feed,
        quotes=quotes,
        policy=fills,
        book=book,
        matcher=Matcher(market, by_symbol, accounts, fills, quotes, book, streams, journal, timeline, words),
        streams=streams,
        limiter=Limiter(limits),
        faults=plan,
        journal=journal,
        words=words,
        dice=seeded_random(seed + 3),
    )


def _client_id(call: Call) -> str:
    return call.params.get("newClientOrderId") or call.params.get("origClientOrderId", "")


def _weight(endpoint: Endpoint, params: Mapping[str, str]) -> int:
    if endpoint.weight_all is not None and "symbol" not in params:
        return endpoint.weight_all
    return endpoint.weight


def _refused(refusal: Refusal, *headers: tuple[str, str]) -> Reply:
    given = [JSON_TYPE, *headers]
    if refusal.retry_after_s is not None:
        given.append(("Retry-After", str(refusal.retry_after_s)))
    return Reply(refusal.status, refusal.body(), tuple(given))
