"""Signing: percent-encode first, then sign exactly the bytes that leave.

Pure. The signed bytes are the raw query string followed by the raw body, nothing between them, and
`signature` comes last. No object here shows its key in any text made of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PEM_START = "-----BEGIN "
# Names and values that stand for themselves (RFC 3986), with the signs between them.
_UNCHANGED = re.compile(r"[A-Za-z0-9_.~&=-]*")


class SigningKeyError(Exception):
    """Credentials that cannot sign. The text never holds any part of them."""


class Signer(Protocol):
    """One account's key."""

    @property
    def api_key(self) -> str:
        """The value of the X-MBX-APIKEY header; not for logs."""

    def sign(self, payload: bytes) -> str:
        """The signature of `payload`, percent-encoded already where its alphabet needs it."""


class HmacSigner:
    """HMAC-SHA256, in hexadecimal: the documented way for futures REST."""

    __slots__ = ("_keyed", "api_key")

    def __init__(self, api_key: str, secret: str) -> None:
        """Raises SigningKeyError for a key or secret that is empty or not plain text."""
        self.api_key = _plain("the API key", api_key)
        self._keyed = hmac.new(_plain("the API secret", secret).encode("ascii"), digestmod=hashlib.sha256)

    def sign(self, payload: bytes) -> str:
        """64 hexadecimal digits."""
        mac = self._keyed.copy()
        mac.update(payload)
        return mac.hexdigest()

    def __repr__(self) -> str:
        return "HmacSigner(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is not copied or stored")


class Ed25519Signer:
    """Ed25519, in percent-encoded base64: what spot prefers."""

    __slots__ = ("_private_key", "api_key")

    def __init__(self, api_key: str, pem: str) -> None:
        """`pem` is an unencrypted PKCS#8 private key; raises SigningKeyError for anything else."""
        self.api_key = _plain("the API key", api_key)
        self._private_key = _ed25519_key(pem)

    def sign(self, payload: bytes) -> str:
        """Base64 of the 64 bytes, with `+`, `/` and `=` percent-encoded."""
        return quote(base64.b64encode(self._private_key.sign(payload)), safe="")

    def __repr__(self) -> str:
        return "Ed25519Signer(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is not copied or stored")


def signer_of(api_key: str, secret: str) -> HmacSigner | Ed25519Signer:
    """The signer for a secret: Ed25519 when it is a PEM text, else HMAC; raises SigningKeyError."""
    if secret.lstrip().startswith(_PEM_START):
        return Ed25519Signer(api_key, secret)
    return HmacSigner(api_key, secret)


def encode(params: Sequence[tuple[str, str]]) -> str:
    """The parameters in their order as `name=value&…`, percent-encoded; empty for none."""
    text = "&".join([f"{name}={value}" for name, value in params])
    # One look at all of it: what an order holds needs no encoding, and finding that out singly costs more
    # than the signature. A sign of ours inside a name or value shows in the count.
    if _UNCHANGED.fullmatch(text) and text.count("=") == len(params) == text.count("&") + 1:
        return text
    return "&".join([f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params])


def signed(params: Sequence[tuple[str, str]], signer: Signer) -> str:
    """`encode(params)` with `&signature=` last: for a query or a form body alike. Not for logs."""
    payload = encode(params)
    return f"{payload}&signature={signer.sign(payload.encode('ascii'))}"


def _plain(what: str, value: str) -> str:
    """`value` when it can stand in a header: printable ASCII without blanks. Raises SigningKeyError."""
    if not value:
        raise SigningKeyError(f"{what} is empty: give the one that the exchange shows for it")
    if not all("!" <= letter <= "~" for letter in value):
        raise SigningKeyError(
            f"{what} holds blanks or characters outside ASCII: give it exactly as the exchange shows it"
        )
    return value


def _ed25519_key(pem: str) -> Ed25519PrivateKey:
    """The private key of a PEM text. Raises SigningKeyError; the library's own words may quote the text."""
    # Imported here: it costs 20 ms that nobody with an HMAC key should wait for.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode("utf-8"), password=None)
    except TypeError:
        raise SigningKeyError("the private key is encrypted: give it without a pass phrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyError(
            "the private key is not a readable PEM text: give a PKCS#8 Ed25519 key"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError("the private key is not an Ed25519 one: give an Ed25519 key or an HMAC secret")
    return key
