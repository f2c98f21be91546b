"""The gateway: who asks, whether the bytes are what was signed, and whether they are fresh.

The signature covers the raw query and the raw body, one after the other, exactly as received, without the
`signature` parameter, which stands last in one of the two. Clients sign in the query or in the body, sort or
not, send a recvWindow or none: all of that is accepted, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import unquote, unquote_plus

from adapters.exchange import refusals
from adapters.exchange.call import Call, Venue
from adapters.exchange.messages import Incoming
from adapters.exchange.refusals import Refusal
from adapters.exchange.terms import Key

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MS_MAX = 60_000
AHEAD_MS = 1_000
PARAMS_MAX = 100
LAST_SIGNATURE = re.compile(r"(?:^|&)signature=([^&]*)$")
FORM = "application/x-www-form-urlencoded"

_NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_DIGITS = r"^[0-9]{1,19}$"
_CLIENT_ID = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_WORD = r"^[A-Za-z_]{1,32}$"
LEGAL: Mapping[str, str] = {
    "symbol": r"^[A-Z0-9-_.]{1,20}$",
    "side": _WORD,
    "type": _WORD,
    "timeInForce": _WORD,
    "positionSide": _WORD,
    "newOrderRespType": _WORD,
    "reduceOnly": r"^(true|false|TRUE|FALSE|True|False)$",
    "dualSidePosition": r"^(true|false|TRUE|FALSE|True|False)$",
    "quantity": _NUMBER,
    "price": _NUMBER,
    "newClientOrderId": _CLIENT_ID,
    "origClientOrderId": _CLIENT_ID,
    "orderId": _DIGITS,
    "fromId": _DIGITS,
    "startTime": _DIGITS,
    "endTime": _DIGITS,
    "limit": _DIGITS,
    "countdownTime": _DIGITS,
    "timestamp": _DIGITS,
    "recvWindow": r"^[0-9]{1,19}(\.[0-9]{1,3})?$",
    "leverage": _DIGITS,
}
_COMPILED = {name: re.compile(pattern, re.ASCII) for name, pattern in LEGAL.items()}


def read_params(incoming: Incoming) -> dict[str, str] | Refusal:
    """The parameters of query and form body, decoded; the query's win, as the documentation says."""
    texts = [incoming.query]
    if incoming.headers.get("content-type", "").lower().startswith(FORM):
        texts.append(incoming.body.decode("utf-8", errors="replace"))
    params: dict[str, str] = {}
    for text in texts:
        seen: set[str] = set()
        for pair in filter(None, text.split("&")):
            name, _, value = pair.partition("=")
            name = unquote_plus(name)
            if name in seen or len(params) >= PARAMS_MAX:
                return refusals.DUPLICATE_PARAMETER
            seen.add(name)
            params.setdefault(name, unquote_plus(value))
    return params


def check_params(params: Mapping[str, str]) -> Refusal | None:
    """Empty values and characters that have no place in a parameter of that name."""
    for name, value in params.items():
        pattern = _COMPILED.get(name)
        if pattern is None:
            continue
        if not value:
            return refusals.empty(name)
        if not pattern.fullmatch(value):
            return refusals.illegal_characters(name, LEGAL[name])
    return None


def admit(venue: Venue, call: Call, incoming: Incoming) -> Refusal | None:
    """Put key and account on the call, or say why it may not pass."""
    if call.endpoint.security == "none":
        return None
    given = incoming.headers.get("x-mbx-apikey", "")
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", given):
        return refusals.BAD_KEY_FORMAT
    key = venue.keys.get(given)
    if key is None or not _permits(key, call, incoming.peer):
        text = f"Invalid API-key, IP, or permissions for action, request ip: {incoming.peer}"
        return Refusal(401, -2015, text)
    call.key, call.account = key, venue.accounts[key.account]
    if call.endpoint.security == "key":
        return None
    return _check_time(call, venue.timeline.now_ms) or _check_signature(key, incoming)


def _permits(key: Key, call: Call, peer: str) -> bool:
    trades = call.endpoint.places_order or call.endpoint.name == "test_order"
    return (key.may_trade or not trades) and (not key.allowed_ips or peer in key.allowed_ips)


def _check_time(call: Call, now_ms: int) -> Refusal | None:
    """The window at the gateway; the engine asks again when the order arrives there (`fence_ms`)."""
    if "timestamp" not in call.params:
        return refusals.mandatory("timestamp")
    if "signature" not in call.params:
        return refusals.mandatory("signature")
    stamp_ms = int(call.params["timestamp"])
    window_ms = int(call.params.get("recvWindow", str(RECV_WINDOW_MS)).partition(".")[0])
    if window_ms > RECV_WINDOW_MS_MAX:
        return refusals.BAD_RECV_WINDOW
    if stamp_ms >= now_ms + AHEAD_MS:
        return refusals.AHEAD_OF_SERVER
    if now_ms - stamp_ms > window_ms:
        return refusals.OUTSIDE_WINDOW
    call.fence_ms = stamp_ms + window_ms
    return None


def _check_signature(key: Key, incoming: Incoming) -> Refusal | None:
    body = incoming.body.decode("latin-1")
    in_query, in_body = LAST_SIGNATURE.search(incoming.query), LAST_SIGNATURE.search(body)
    if (in_query is None) is (in_body is None):
        return refusals.BAD_SIGNATURE
    query = incoming.query[: in_query.start()] if in_query else incoming.query
    body = body[: in_body.start()] if in_body else body
    signature = (in_query or in_body)[1]  # type: ignore[index]  # exactly one of them is a match
    payload = query.encode("utf-8", errors="surrogateescape") + body.encode("latin-1")
    return None if signed_by(key.secret, payload, signature) else refusals.BAD_SIGNATURE


def signed_by(secret: str, payload: bytes, signature: str) -> bool:
    """Whether the signature, percent-encoded as received, is the key's over exactly these bytes."""
    if secret.lstrip().startswith("-----BEGIN"):
        return _signed_ed25519(secret, payload, unquote(signature))
    expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.lower().encode())


def _signed_ed25519(pem: str, payload: bytes, signature: str) -> bool:
    # Only an Ed25519 key pays for this import.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), payload)
    except (InvalidSignature, binascii.Error):
        return False
    return True
