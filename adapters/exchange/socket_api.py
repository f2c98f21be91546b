"""The WebSocket API, as far as the user stream needs it: spot has no listen keys any more.

`userDataStream.subscribe.signature` is signed like a request, over the parameters in alphabetical order.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from adapters.exchange import refusals
from adapters.exchange.call import Venue
from adapters.exchange.gateway import AHEAD_MS, RECV_WINDOW_MS, RECV_WINDOW_MS_MAX, signed_by
from adapters.exchange.refusals import Refusal, mandatory

Values = Mapping[str, str | int | bool]
UNKNOWN_METHOD = Refusal(400, -1000, "Unknown method.")
BAD_MESSAGE = Refusal(400, -1000, "Invalid JSON.")
NOT_SUBSCRIBED = Refusal(400, -2036, "No such user data stream subscription.")


class _Asked(msgspec.Struct):
    id: str | int | None = None
    method: str = ""
    params: dict[str, str | int | bool] = {}


class SocketApi:
    """Answers messages of web sockets and remembers who wants which account's events."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def handle(self, connection: str, message: bytes) -> bytes:
        """The reply to one message."""
        try:
            asked = msgspec.json.decode(message, type=_Asked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _reply(None, BAD_MESSAGE)
        return _reply(asked.id, self._result(connection, asked))

    def _result(self, connection: str, asked: _Asked) -> Refusal | dict[str, object]:
        match asked.method:
            case "ping":
                return {}
            case "time":
                return {"serverTime": self._venue.timeline.now_ms}
            case "userDataStream.subscribe.signature":
                account = self._account(asked.params)
                if isinstance(account, Refusal):
                    return account
                self._venue.streams.subscribe(connection, account)
                return {"subscriptionId": 0}
            case "userDataStream.unsubscribe":
                return {} if self._venue.streams.unsubscribe(connection) else NOT_SUBSCRIBED
            case _:
                return UNKNOWN_METHOD

    def _account(self, params: Values) -> str | Refusal:
        for name in ("apiKey", "timestamp", "signature"):
            if name not in params:
                return mandatory(name)
        key = self._venue.keys.get(str(params["apiKey"]))
        if key is None:
            return Refusal(401, -2015, "Invalid API-key, IP, or permissions for action.")
        stale = self._check_time(params)
        if stale is not None:
            return stale
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
        # The gateway undoes percent-encoding, which a message has none of.
        signature = quote(str(params["signature"]), safe="")
        return key.account if signed_by(key.secret, payload.encode(), signature) else refusals.BAD_SIGNATURE

    def _check_time(self, params: Values) -> Refusal | None:
        stamp, window = str(params["timestamp"]), str(params.get("recvWindow", RECV_WINDOW_MS))
        if not (stamp.isascii() and stamp.isdigit()):
            return mandatory("timestamp")
        if not (window.isascii() and window.isdigit()) or int(window) > RECV_WINDOW_MS_MAX:
            return refusals.BAD_RECV_WINDOW
        now_ms = self._venue.timeline.now_ms
        if int(stamp) >= now_ms + AHEAD_MS:
            return refusals.AHEAD_OF_SERVER
        return refusals.OUTSIDE_WINDOW if now_ms - int(stamp) > int(window) else None


def _reply(request_id: str | int | None, result: Refusal | dict[str, object]) -> bytes:
    if isinstance(result, Refusal):
        error = {"code": result.code, "msg": result.text}
        return msgspec.json.encode({"id": request_id, "status": result.status, "error": error})
    return msgspec.json.encode({"id": request_id, "status": 200, "result": result})
