"""User streams: listen keys, subscriptions, and the messages on their way, with the faults of the plan.

A listen key lives 60 minutes from its creation or last extension; an account has one at a time. When it
expires, its connections are told and then hear nothing more, but stay open, as on the real exchange.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from adapters.exchange.faults import FaultPlan, FaultRule
from adapters.exchange.messages import Push
from adapters.exchange.timeline import Timeline
from adapters.exchange.words import Json

LISTEN_KEY_LIFE_MS = 3_600_000
LISTEN_KEY_LENGTH = 64
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
# An event that is held back to come out of order waits for its successor, but no longer than this.
REORDER_MS = 500
# Whoever does not fetch them loses the oldest, like a client that does not read.
PUSHES_MAX = 100_000


@dataclass(slots=True)
class ListenKey:
    """Whose events a key carries, and until when."""

    account: str
    expires_ms: int


class UserStreams:
    """What each account's connections are told, in the order in which it leaves."""

    def __init__(self, timeline: Timeline, faults: FaultPlan, dice: random.Random) -> None:
        self._timeline = timeline
        self._faults = faults
        self._dice = dice
        self._keys: dict[str, ListenKey] = {}
        self._sockets: dict[str, str] = {}
        self._held: dict[str, list[bytes]] = {}
        self._deaf_until_ms: dict[str, int] = {}
        self._pushes: deque[Push] = deque(maxlen=PUSHES_MAX)

    def create(self, account: str) -> str:
        """The account's listen key, with a whole life before it; a new one where there is none."""
        key = self.key_of(account)
        if key is None:
            key = "".join(self._dice.choice(ALPHABET) for _ in range(LISTEN_KEY_LENGTH))
            self._keys[key] = ListenKey(account, self._timeline.now_ms + LISTEN_KEY_LIFE_MS)
            self._watch(key)
        self.extend(account)
        return key

    def key_of(self, account: str) -> str | None:
        """The account's living listen key."""
        return next((key for key, value in self._keys.items() if value.account == account), None)

    def extend(self, account: str) -> str | None:
        """Give the account's key another whole life; None where it has none."""
        key = self.key_of(account)
        if key is not None:
            self._keys[key].expires_ms = self._timeline.now_ms + LISTEN_KEY_LIFE_MS
        return key

    def close(self, account: str) -> bool:
        """Forget the account's key and cut its connections; False where it has none."""
        key = self.key_of(account)
        if key is None:
            return False
        del self._keys[key]
        self._pushes.append(Push(key, close=True))
        return True

    def has_listener(self, account: str) -> bool:
        """Whether anybody would hear of this account."""
        return self.key_of(account) is not None or account in self._sockets.values()

    def is_open(self, listen_key: str) -> bool:
        """Whether a connection for this key is let in."""
        return listen_key in self._keys

    def subscribe(self, connection: str, account: str) -> None:
        """A WebSocket API connection wants the account's events."""
        self._sockets[connection] = account

    def unsubscribe(self, connection: str) -> bool:
        """The connection wants no more of them; False where it had none."""
        return self._sockets.pop(connection, None) is not None

    def emit(self, account: str, event: Json, *, symbol: str = "", client_id: str = "") -> None:
        """Tell the account's connections, unless the fault plan has other ideas."""
        now_ms = self._timeline.now_ms
        strikes = self._faults.strikes(
            (str(event["e"]), "stream"),
            symbol=symbol,
            client_id=client_id,
            now_ms=self._timeline.host_ms,
            stream=True,
        )
        fault = strikes[0] if strikes else None
        if fault is not None and fault.kind == "stream_gap":
            self.cut(account)
            self._deaf_until_ms[account] = now_ms + fault.delay_ms
        lost = fault is not None and fault.kind in ("stream_gap", "stream_loss")
        if lost or now_ms < self._deaf_until_ms.get(account, 0):
            return
        self._leave(account, msgspec.json.encode(event), fault)

    def cut(self, account: str) -> None:
        """Cut all connections of the account; what they would have heard meanwhile is lost."""
        self._pushes.extend(Push(name, close=True) for name in self._names_of(account))

    def expire(self, account: str) -> None:
        """The account's key is over now, whatever was left of its life."""
        for key in [name for name, value in self._keys.items() if value.account == account]:
            self._keys[key].expires_ms = self._timeline.now_ms
            self._expire(key)

    def take(self) -> list[Push]:
        """The messages since the last call."""
        pushes = list(self._pushes)
        self._pushes.clear()
        return pushes

    def _leave(self, account: str, message: bytes, fault: FaultRule | None) -> None:
        if fault is not None and fault.kind == "stream_reorder":
            self._held.setdefault(account, []).append(message)
            self._timeline.after(fault.delay_ms or REORDER_MS, lambda: self._release(account))
            return
        if fault is not None and fault.kind == "stream_delay":
            self._timeline.after(fault.delay_ms, lambda: self._send(account, message))
            return
        self._send(account, message)
        if fault is not None and fault.kind == "stream_duplicate":
            self._send(account, message)
        self._release(account)

    def _release(self, account: str) -> None:
        for message in self._held.pop(account, ()):
            self._send(account, message)

    def _send(self, account: str, message: bytes) -> None:
        for name in self._names_of(account):
            wrapped = message
            if name in self._sockets:
                wrapped = b'{"subscriptionId":0,"event":' + message + b"}"
            self._pushes.append(Push(name, wrapped))

    def _names_of(self, account: str) -> list[str]:
        keys = [key for key, value in self._keys.items() if value.account == account]
        return keys + [name for name, owner in self._sockets.items() if owner == account]

    def _watch(self, key: str) -> None:
        """Look again when the key would expire; an extension only moves the moment."""
        left_ms = self._keys[key].expires_ms - self._timeline.now_ms
        self._timeline.after(left_ms, lambda: self._expire(key))

    def _expire(self, key: str) -> None:
        entry = self._keys.get(key)
        if entry is None:
            return
        if self._timeline.now_ms < entry.expires_ms:
            self._watch(key)
            return
        del self._keys[key]
        event: Mapping[str, object] = {
            "e": "listenKeyExpired",
            "E": self._timeline.now_ms,
            "listenKey": key,
        }
        self._pushes.append(Push(key, msgspec.json.encode(event)))
