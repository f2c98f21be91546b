"""The ways to receivers: a POST of JSON, and a GET that says: still alive.

What goes wrong comes back in words of our own, because those of the library quote addresses. aiohttp is
imported when something is sent, and not before.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from worker.notices.aside import Names, aside
from worker.notices.places import Secret
from worker.notices.wording import Body

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver

# What a receiver answers is of no interest; so much of it is read that the connection ends cleanly.
ANSWER_BYTES_MAX = 16_384
# A receiver that asks for a longer pause is asked sooner all the same; the message is given up in time.
PAUSE_S_MAX = 60.0
# Busy, or not well: later it may take the message.
AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why a message did not arrive; `again`: a later attempt may succeed, not before `pause_s`."""

    why: str
    again: bool = True
    pause_s: float = 0.0


class Way(Protocol):
    """How one receiver is reached."""

    async def send(self, body: Body, timeout_s: float) -> Undelivered | None:
        """One attempt; None when it arrived. Never raises for the world's faults."""


class WebhookWay:
    """POST of the body as JSON."""

    def __init__(self, url: Secret, *, trust_env: bool) -> None:
        self._url = url
        self._trust_env = trust_env

    async def send(self, body: Body, timeout_s: float) -> Undelivered | None:
        """One attempt; redirects are not followed, what is answered is not kept."""
        data = json.dumps(body).encode()
        return await _request("POST", self._url, data, timeout_s, trust_env=self._trust_env)


async def ping(url: Secret, timeout_s: float, *, trust_env: bool) -> Undelivered | None:
    """GET once; None when it was answered with 2xx."""
    return await _request("GET", url, None, timeout_s, trust_env=trust_env)


async def _request(
    method: str, url: Secret, data: bytes | None, timeout_s: float, *, trust_env: bool
) -> Undelivered | None:
    if "aiohttp" not in sys.modules:
        # It takes a quarter of a second, in which the loop has orders to send.
        await aside(partial(importlib.import_module, "adapters.binance.wire_faults"), "import")
    import aiohttp

    from adapters.binance.wire_faults import FAULTS

    headers = {"User-Agent": "execution-worker"}
    if data is not None:
        headers["Content-Type"] = "application/json"
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, resolver=_resolver()),
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=trust_env,
            ) as session,
            session.request(
                method, url.reveal(), data=data, headers=headers, allow_redirects=False
            ) as response,
        ):
            answer = _judged(response)
            await response.content.read(ANSWER_BYTES_MAX)
            return answer
    except aiohttp.InvalidURL:
        return Undelivered("its address is no URL that can be asked", again=False)
    except FAULTS as error:
        return Undelivered(_why(error))


def _why(fault: BaseException) -> str:
    """What went wrong, without a word of the library's: those quote the address."""
    import aiohttp

    from adapters.binance.wire_faults import why_lost, why_not_connected

    match fault:
        case TimeoutError():
            return "no answer within the time limit"
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            return why_not_connected(fault)
        case aiohttp.ClientHttpProxyError():
            return why_not_connected(fault)
        case aiohttp.ClientResponseError():
            return "its answer is not HTTP"
        case _:
            return why_lost(fault)


def _resolver() -> AbstractResolver:
    from aiohttp.abc import AbstractResolver

    class Resolver(Names, AbstractResolver):
        """Ours, by the library's name."""

    return Resolver()


def _judged(response: aiohttp.ClientResponse) -> Undelivered | None:
    status = response.status
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Undelivered(f"it answered {status}: redirects are not followed", again=False)
    after = response.headers.get("Retry-After", "")
    pause_s = min(float(after), PAUSE_S_MAX) if after.isascii() and after.isdigit() else 0.0
    return Undelivered(f"it answered {status}", again=status in AGAIN, pause_s=pause_s)
