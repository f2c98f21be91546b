"""What a client gets to see when the fault plan strikes, and whether the order lives behind it.

The interesting ones are the answers that prove nothing: each comes in an executed and a not-executed
variant that look exactly alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from adapters.exchange.faults import FaultKind, FaultRule
from adapters.exchange.messages import Reply

HTML = b"<html><head><title>500 Internal Server Error</title></head><body>nginx</body></html>\r\n"
UNKNOWN_503 = "Unknown error, please check your request or try again later."
TIMEOUT_1007 = (
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
)
JSON_TYPE = ("Content-Type", "application/json;charset=UTF-8")
HTML_TYPE = ("Content-Type", "text/html")
# How long a 429 or 418 of the plan lasts when its rule does not say.
CLOSED_MS = 60_000
BANNED_MS = 120_000


class Seen(msgspec.Struct, frozen=True):
    """One fault as the client sees it. `body` None: the true body. `executed`: the default behind it."""

    executed: bool
    status: int = 200
    body: bytes | None = None
    wire: Literal["whole", "reset", "silence", "truncated"] = "whole"
    content_type: tuple[str, str] = JSON_TYPE


def _says(code: int, text: str) -> bytes:
    return msgspec.json.encode({"code": code, "msg": text})


def _says_only(text: str) -> bytes:
    return msgspec.json.encode({"msg": text})


SEEN: Mapping[FaultKind, Seen] = {
    "reset_before": Seen(executed=False, wire="reset"),
    "reset_after": Seen(executed=True, wire="reset"),
    "silence_before": Seen(executed=False, wire="silence"),
    "silence_after": Seen(executed=True, wire="silence"),
    "timeout_1007": Seen(executed=False, status=408, body=_says(-1007, TIMEOUT_1007)),
    "unknown_1006": Seen(
        executed=False,
        status=400,
        body=_says(
            -1006,
            "An unexpected response was received from the message bus. Execution status unknown.",
        ),
    ),
    "unknown_503": Seen(executed=False, status=503, body=_says_only(UNKNOWN_503)),
    "unavailable_503": Seen(executed=False, status=503, body=_says_only("Service Unavailable.")),
    "internal_503": Seen(
        executed=False,
        status=503,
        body=_says_only("Internal error; unable to process your request. Please try again."),
    ),
    "html_500": Seen(executed=False, status=500, body=HTML, content_type=HTML_TYPE),
    "disconnected_1001": Seen(
        executed=False,
        status=400,
        body=_says(-1001, "Internal error; unable to process your request. Please try again."),
    ),
    "overload_1008": Seen(
        executed=True,
        status=503,
        body=_says(-1008, "Request throttled by system-level protection. Please try again."),
    ),
    "garbage": Seen(executed=True, body=b'{"orderId":\x00\xff\xfe<<not json'),
    "truncated": Seen(executed=True, wire="truncated"),
}


def is_executed(rule: FaultRule) -> bool:
    """Whether the request is carried out behind this fault; the rule may say otherwise than the default."""
    if rule.executed is not None:
        return rule.executed
    return rule.kind in SEEN and SEEN[rule.kind].executed


def masked(rule: FaultRule, true_reply: Reply) -> Reply:
    """The reply as the client gets to see it."""
    if rule.kind == "answer":
        body = _says_only(rule.text) if rule.code is None else _says(rule.code, rule.text)
        return Reply(rule.status, body, (JSON_TYPE,))
    seen = SEEN[rule.kind]
    if seen.body is not None:
        return Reply(seen.status, seen.body, (seen.content_type,), wire=seen.wire)
    return msgspec.structs.replace(true_reply, wire=seen.wire)
