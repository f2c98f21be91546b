"""POST /halt and POST /resume: who may ask, and how often who may not is told so.

Off until execution.http.token_file is set. Loopback only at both ends, nothing that a browser or a
proxy sends, and a token that is compared in constant time. The right token is never slowed down: nobody
can keep a person from halting by guessing.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import msgspec
from aiohttp import web

from config.secret_file import SecretFileError
from worker.http_desk import Desk, WishError
from worker.http_token import KEY

PATHS = ("/halt", "/resume")
BODY_BYTES_MAX = 2_048
BODY_S_MAX = 2.0
# What a refused request may still send, so that its sender reads the answer instead of a reset.
DREGS_BYTES_MAX, DREGS_S_MAX = 65_536, 0.2
# Each wrong token waits longer than the one before it, until this; then it is forgotten by and by.
DENIED_S_FIRST, DENIED_S_MAX = 0.1, 2.0
FORGOTTEN_S = 30.0
# Wrong tokens that wait hold a connection each; the others are turned away at once.
DENIED_WAITING_MAX = 4
TOLD_EVERY_S = 10.0

SWITCHED_OFF = (
    f"halt and resume over HTTP are off: set {KEY} to a file that holds a token of 32 characters or more "
    "and start the worker again; the commands execution-worker halt and resume work without"
)
# A browser adds these by itself, and a page cannot take them away.
BROWSER_HEADERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Control:
    """Asks for the token, reads the body and hands it to the desk."""

    def __init__(self, desk: Desk | None, *, loopback: bool) -> None:
        self._desk = desk
        self._loopback = loopback
        self._waiting = 0
        self._wrong = 0
        self._wrong_at_s = 0.0
        self._told_at_s: float | None = None
        self.done = self.refused = self.denied = 0

    def status(self) -> dict[str, object]:
        """What /status shows of it."""
        return {
            "on": self._desk is not None and self._desk.token is not None and self._loopback,
            "done": self.done,
            "refused": self.refused,
            "denied": self.denied,
        }

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """The response to a request for one of PATHS."""
        try:
            return await self._answer(request)
        except (web.RequestPayloadError, ConnectionError):
            return _no(400, "the body did not come whole")

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        desk, refusal = self._desk, self._not_for_you(request)
        if refusal is None:
            assert desk is not None
            refusal = await self._denied(request, desk)
        if refusal is None:
            refusal = _not_json(request)
        if refusal is not None:
            self.refused += 1
            await _pour_away(request)
            return refusal
        assert desk is not None
        return await self._carry_out(request, desk)

    def _not_for_you(self, request: web.BaseRequest) -> web.Response | None:
        """What is refused whatever the token is."""
        if self._desk is None or self._desk.token is None:
            return _no(404, SWITCHED_OFF)
        if not self._loopback or not _from_loopback(request.remote):
            return _no(403, "halt and resume are for this host alone: set execution.http.host to 127.0.0.1")
        if any(name in request.headers for name in BROWSER_HEADERS):
            return _no(403, "halt and resume are not for browsers: use curl, or the command")
        if any(name in request.headers for name in PROXY_HEADERS):
            return _no(403, "halt and resume are not for proxies: ask the worker itself")
        if request.method != "POST":
            response = _no(405, "ask with POST")
            response.headers["Allow"] = "POST"
            return response
        return None

    async def _denied(self, request: web.BaseRequest, desk: Desk) -> web.Response | None:
        assert desk.token is not None
        given = request.headers.getall("Authorization", [])
        scheme, _, presented = (given[0] if len(given) == 1 else "").partition(" ")
        try:
            right = desk.token.matches(presented.strip().encode("utf-8", "surrogateescape"))
        except SecretFileError as error:
            self._tell(desk, "control_off", why=str(error))
            return _no(503, "the token file cannot be used: see the worker's log")
        if right and scheme.lower() == "bearer":
            return None
        self.denied += 1
        self._tell(desk, "control_denied", peer=request.remote, denied=self.denied)
        if self._waiting >= DENIED_WAITING_MAX:
            return _no(429, "too many requests without the token")
        self._waiting += 1
        try:
            await desk.clock.sleep(self._penalty_s(desk.clock.monotonic_s()))
        finally:
            self._waiting -= 1
        response = _no(401, "not allowed")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _penalty_s(self, now_s: float) -> float:
        if now_s - self._wrong_at_s > FORGOTTEN_S:
            self._wrong = 0
        self._wrong_at_s = now_s
        self._wrong += 1
        return min(DENIED_S_FIRST * self._wrong, DENIED_S_MAX)

    def _tell(self, desk: Desk, event: str, **fields: object) -> None:
        """Log it, but no oftener than people read."""
        now_s = desk.clock.monotonic_s()
        if self._told_at_s is None or now_s - self._told_at_s >= TOLD_EVERY_S:
            self._told_at_s = now_s
            desk.log.warning(event, **fields)

    async def _carry_out(self, request: web.BaseRequest, desk: Desk) -> web.Response:
        try:
            async with asyncio.timeout(BODY_S_MAX):
                body = await _read(request, BODY_BYTES_MAX)
        except TimeoutError:
            return _no(408, "the body did not come in time")
        if body is None:
            await _pour_away(request)
            return _no(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
        try:
            said = await desk.carry_out(request.path.removeprefix("/"), body, f"http {request.remote}")
        except WishError as error:
            return _no(400, str(error))
        self.done += said.done
        answer = {"done": said.done, "text": said.text, "halts": desk.in_force()}
        return _json(said.status, answer)


def _from_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False


def _not_json(request: web.BaseRequest) -> web.Response | None:
    # A form of a web page can be sent without asking; JSON cannot.
    if request.content_type != "application/json" or request.headers.get("Content-Encoding"):
        return _no(415, "the body must be JSON, with Content-Type: application/json")
    if (request.content_length or 0) > BODY_BYTES_MAX:
        return _no(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
    return None


async def _read(request: web.BaseRequest, bytes_max: int) -> bytes | None:
    """The body; None when it is longer."""
    body = bytearray()
    while len(body) <= bytes_max:
        part = await request.content.read(bytes_max + 1 - len(body))
        if not part:
            return bytes(body)
        body += part
    return None


async def _pour_away(request: web.BaseRequest) -> None:
    """Take what was sent along; unread, it would turn the answer into a reset."""
    try:
        async with asyncio.timeout(DREGS_S_MAX):
            await _read(request, DREGS_BYTES_MAX)
    except TimeoutError:
        return


def _no(status: int, text: str) -> web.Response:
    return _json(status, {"done": False, "text": text})


def _json(status: int, answer: dict[str, object]) -> web.Response:
    body = msgspec.json.encode(answer, enc_hook=str) + b"\n"
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8")
