"""The WebSocket API, as far as spot's user stream needs it: one signed request, and the replies.

Pure. Spot took its listen keys away on 2026-02-20; since then a connection subscribes to an account's events
by one signed message. Signed are the parameters in alphabetical order; a signature in JSON is not
percent-encoded. Replies are put into the form of HTTP's, so that one set of verdicts judges both.
"""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from adapters.binance.signing import Signer, encode
from adapters.binance.transport import HttpReply
from adapters.binance.wire import Request
from adapters.binance.wire_replies import Int64, decoded

SUBSCRIBE = "userDataStream.subscribe.signature"
# The one request of a connection; replies carry it.
REQUEST_ID = "ew1"
# The connection counts 2 and the subscription 2, against the same limits as REST.
SUBSCRIPTION = Request("POST", SUBSCRIBE, (), "signed", weight=4)

_WEIGHT_LIMIT = ("REQUEST_WEIGHT", "MINUTE", 1)
_USED_WEIGHT = "x-mbx-used-weight-1m"
_RETRY_AFTER = "retry-after"


class _Limit(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit_type: str = ""
    interval: str = ""
    interval_num: int = 0
    count: Int64 = 0


class _ErrorData(msgspec.Struct, frozen=True, rename="camel"):
    server_time: Int64 | None = None
    retry_after: Int64 | None = None


class _Error(msgspec.Struct, frozen=True):
    code: Int64 | None = None
    msg: str = ""
    data: _ErrorData | None = None


class _Reply(msgspec.Struct, frozen=True, rename="camel"):
    status: Int64
    error: _Error | None = None
    rate_limits: tuple[_Limit, ...] = ()


_reply = msgspec.json.Decoder(_Reply)


def subscription(signer: Signer, *, timestamp_ms: int, recv_window_ms: int) -> bytes:
    """The message that subscribes to the account's events; signed, never to be shown."""
    params = {"apiKey": signer.api_key, "recvWindow": recv_window_ms, "timestamp": timestamp_ms}
    payload = encode([(name, str(params[name])) for name in sorted(params)])
    signature = unquote(signer.sign(payload.encode("ascii")))
    message = {"id": REQUEST_ID, "method": SUBSCRIBE, "params": {**params, "signature": signature}}
    return msgspec.json.encode(message)


def read_reply(message: bytes) -> HttpReply | None:
    """The reply that `message` is; None for an event and for garbage."""
    reply = decoded(_reply, message)
    if reply is None:
        return None
    headers: dict[str, str] = {}
    for limit in reply.rate_limits:
        if (limit.rate_limit_type, limit.interval, limit.interval_num) == _WEIGHT_LIMIT:
            headers[_USED_WEIGHT] = str(limit.count)
    error = reply.error
    if error is None:
        return HttpReply(reply.status, headers, b"{}")
    data = error.data
    if data is not None and data.retry_after is not None and data.server_time is not None:
        # Told as a moment here, as a number of seconds in HTTP: rounded up.
        headers[_RETRY_AFTER] = str(max(0, -((data.server_time - data.retry_after) // 1_000)))
    return HttpReply(reply.status, headers, msgspec.json.encode({"code": error.code, "msg": error.msg}))
