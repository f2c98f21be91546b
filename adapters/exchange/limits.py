"""Rate limits: request weight per peer and minute, orders per account, windows aligned to the clock.

Over the limit is 429 with Retry-After until the window ends; who goes on regardless is banned (418), each
time twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.exchange.refusals import Refusal
from adapters.exchange.terms import RateLimits

MINUTE_MS = 60_000
DAY_MS = 86_400_000


@dataclass(slots=True)
class Peer:
    """What one address has used, and what it has coming."""

    window_ms: int = 0
    used: int = 0
    closed_until_ms: int = 0
    banned_until_ms: int = 0
    ignored: int = 0
    bans: int = 0


class Limiter:
    """Counts what comes in; times are the exchange's clock."""

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits
        self._peers: dict[str, Peer] = {}
        self._orders: dict[tuple[str, str], tuple[int, int]] = {}

    def take_weight(self, peer: str, weight: int, now_ms: int) -> Refusal | None:
        """Count one request, or say when the peer may come again."""
        state = self._peers.setdefault(peer, Peer())
        if now_ms < state.banned_until_ms:
            return _banned(peer, state.banned_until_ms, now_ms)
        if now_ms < state.closed_until_ms:
            return self._ignored(peer, state, now_ms)
        window_ms = now_ms - now_ms % MINUTE_MS
        if window_ms != state.window_ms:
            state.window_ms, state.used = window_ms, 0
        state.used += weight
        if state.used <= self.limits.weight_per_minute:
            return None
        state.closed_until_ms, state.ignored = window_ms + MINUTE_MS, 0
        return self._too_many(peer, state, now_ms)

    def used_weight(self, peer: str) -> int:
        """What the peer has used in its present minute."""
        return self._peers[peer].used if peer in self._peers else 0

    def close(self, peer: str, now_ms: int, for_ms: int) -> Refusal:
        """The fault plan wants a 429: nobody of this address is answered for so long."""
        state = self._peers.setdefault(peer, Peer())
        state.closed_until_ms, state.ignored = now_ms + for_ms, 0
        return self._too_many(peer, state, now_ms)

    def ban(self, peer: str, now_ms: int, for_ms: int) -> Refusal:
        """Ban the address."""
        state = self._peers.setdefault(peer, Peer())
        state.banned_until_ms = now_ms + for_ms
        return _banned(peer, state.banned_until_ms, now_ms)

    def take_order(self, account: str, now_ms: int) -> Refusal | None:
        """Count one order that reached the engine, or refuse it; refused ones count no further."""
        windows = self._windows()
        for name, length_ms, limit in windows:
            start_ms, used = self._order_window(account, name, length_ms, now_ms)
            if used >= limit:
                text = f"Too many new orders; current limit is {limit} orders per {_spelt(name)}."
                return Refusal(429, -1015, text, _seconds_until(start_ms + length_ms, now_ms))
        for name, length_ms, _ in windows:
            start_ms, used = self._order_window(account, name, length_ms, now_ms)
            self._orders[account, name] = (start_ms, used + 1)
        return None

    def order_counts(self, account: str, now_ms: int) -> dict[str, int]:
        """Orders in the present windows, by the window's name in the headers."""
        return {
            name: self._order_window(account, name, length_ms, now_ms)[1]
            for name, length_ms, _ in self._windows()
        }

    def told(self) -> list[dict[str, object]]:
        """The limits as `exchangeInfo` lists them."""
        weight = ("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_per_minute)
        orders = [("ORDERS", *_INTERVALS[name], limit) for name, _, limit in self._windows()]
        return [
            {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
            for kind, interval, number, limit in (weight, *orders)
        ]

    def _windows(self) -> list[tuple[str, int, int]]:
        limits = self.limits
        windows = (
            ("10S", 10_000, limits.orders_per_10_s),
            ("1M", MINUTE_MS, limits.orders_per_minute),
            ("1D", DAY_MS, limits.orders_per_day),
        )
        return [(name, length_ms, limit) for name, length_ms, limit in windows if limit is not None]

    def _order_window(self, account: str, name: str, length_ms: int, now_ms: int) -> tuple[int, int]:
        start_ms = now_ms - now_ms % length_ms
        known_ms, used = self._orders.get((account, name), (start_ms, 0))
        return (start_ms, used if known_ms == start_ms else 0)

    def _ignored(self, peer: str, state: Peer, now_ms: int) -> Refusal:
        state.ignored += 1
        if state.ignored <= self.limits.ignored_max:
            return self._too_many(peer, state, now_ms)
        ban_ms = min(self.limits.ban_ms_min << state.bans, self.limits.ban_ms_max)
        state.bans = min(state.bans + 1, 32)
        return self.ban(peer, now_ms, ban_ms)

    def _too_many(self, peer: str, state: Peer, now_ms: int) -> Refusal:
        text = (
            f"Too many requests; current limit of IP({peer}) is {self.limits.weight_per_minute} requests"
            " per minute. Please use the websocket for live updates to avoid polling the API."
        )
        return Refusal(429, -1003, text, _seconds_until(state.closed_until_ms, now_ms))


_INTERVALS = {"10S": ("SECOND", 10), "1M": ("MINUTE", 1), "1D": ("DAY", 1)}


def _spelt(name: str) -> str:
    return {"10S": "TEN_SECONDS", "1M": "MINUTE", "1D": "DAY"}[name]


def _seconds_until(until_ms: int, now_ms: int) -> int:
    return max(1, -((now_ms - until_ms) // 1_000))


def _banned(peer: str, until_ms: int, now_ms: int) -> Refusal:
    text = (
        f"Way too many requests; IP({peer}) banned until {until_ms}."
        " Please use the websocket for live updates to avoid bans."
    )
    return Refusal(418, -1003, text, _seconds_until(until_ms, now_ms))
