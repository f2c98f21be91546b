"""What can go wrong on the wire, and the words for it: ours alone, for the libraries' quote what was sent.

Nothing here holds a URL, a header or a byte of a body.
"""

from __future__ import annotations

import ssl
import zlib

import aiohttp
from aiohttp.http import HttpProcessingError


class NoReplyError(Exception):
    """What came is not one whole reply; the text is ours and holds nothing that was received."""


class RedirectError(aiohttp.ClientError):
    """A stream's host answered with a redirect, which nobody here follows."""


# Not found, no such method there, gone, not implemented.
_NOT_THERE = frozenset({404, 405, 410, 501})

# Everything that sockets, TLS and parsers raise when the world is at fault.
FAULTS = (
    aiohttp.ClientError,
    aiohttp.EofStream,
    HttpProcessingError,
    OSError,
    zlib.error,
    NoReplyError,
)


def why_not_connected(fault: BaseException) -> str:
    """Why nothing left."""
    match fault:
        case aiohttp.ClientConnectorDNSError():
            return "the host's name was not found"
        case aiohttp.ClientConnectorCertificateError():
            return "the host's certificate is not valid for it"
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return "the TLS handshake did not succeed"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "the proxy did not connect"
        case TimeoutError():
            return "no connection within the time limit"
        case aiohttp.ClientOSError() | OSError() if isinstance(fault.errno, int):
            return f"no connection (errno {fault.errno})"
        case NoReplyError():
            return str(fault)
        case _:
            return f"no connection ({type(fault).__name__})"


def why_lost(fault: BaseException) -> str:
    """What went wrong, in words of our own: those of the libraries quote what was sent and received."""
    match fault:
        case TimeoutError():
            return "no whole reply within the time limit"
        case NoReplyError():
            return str(fault)
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before a reply"
        case aiohttp.ClientPayloadError():
            return "the body was cut short or badly framed"
        case HttpProcessingError():
            return "the reply is not HTTP"
        case zlib.error():
            return "the packed body is damaged"
        case aiohttp.ClientOSError() | OSError() if isinstance(fault.errno, int):
            return f"the connection broke (errno {fault.errno})"
        case _:
            return f"the connection broke ({type(fault).__name__})"


def why_no_stream(fault: BaseException) -> str:
    """Why a web socket was not opened; the libraries' words quote its URL."""
    match fault:
        case RedirectError():
            return "the stream's host answered with a redirect"
        case aiohttp.WSServerHandshakeError():
            return f"the stream's host answered with HTTP status {fault.status}"
        case aiohttp.ClientConnectorError() | TimeoutError():
            return f"no stream: {why_not_connected(fault)}"
        case _:
            return f"no stream ({type(fault).__name__})"


def is_unserved(fault: BaseException) -> bool:
    """True when the host says that there is no web socket at that path, now or ever."""
    return isinstance(fault, aiohttp.WSServerHandshakeError) and fault.status in _NOT_THERE


def why_stream_closed(code: int | None, trouble: object) -> str:
    """Why a web socket ended; the reason that the other side gives is not repeated."""
    if isinstance(trouble, Exception):
        return f"the stream broke ({type(trouble).__name__})"
    return f"the stream was closed with code {code}"
