"""The exchange in the box with a customer in front of it: signs, asks, waits, and reads the answers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultPlan, FaultRule
from adapters.exchange.messages import Incoming, Push, Reply
from adapters.exchange.terms import MarketName
from config.seams import seeded_random

# The beginning of a minute, so that limits begin with an empty window.
START_MS = 1_780_000_020_000
KEY, SECRET = "loopback-key", "loopback-secret"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Heard(msgspec.Struct, frozen=True):
    """One answer, decoded where it is JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]
    reply: Reply

    @property
    def code(self) -> int | None:
        """The error code; None where there is none."""
        return self.body.get("code") if isinstance(self.body, dict) else None


def sign(payload: str, secret: str = SECRET) -> str:
    """HMAC-SHA256 in hex."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def read(reply: Reply) -> Heard:
    """The reply as a client sees it."""
    try:
        body = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = reply.body
    return Heard(reply.status, body, dict(reply.headers), reply)


class Box:
    """One exchange at its own pace."""

    def __init__(
        self, *rules: FaultRule, market: MarketName = "futures", seed: int = 0, **given: Any
    ) -> None:
        self.now_ms = START_MS
        self.journal: list[Mapping[str, object]] = []
        self.market = market
        self.exchange = Exchange(
            start_ms=START_MS,
            market=market,
            seed=seed,
            faults=FaultPlan(rules, seeded_random(seed)),
            journal=self.journal.append,
            **given,
        )

    def raw(self, method: str, path: str, query: str = "", body: str = "", **headers: str) -> Heard:
        """These very bytes; a body is a form."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        form = FORM if body else {}
        incoming = Incoming(method, path, query, body.encode(), {**form, **given})
        return read(self.exchange.handle(incoming, self.now_ms))

    def ask(self, method: str, path: str, *, key: str = KEY, secret: str = SECRET, **params: Any) -> Heard:
        """A signed request; POST in the body, the others in the query. None leaves a parameter out."""
        given = {"timestamp": self.now_ms, **params}
        text = urlencode({name: value for name, value in given.items() if value is not None})
        text += f"&signature={sign(text, secret)}"
        query, body = ("", text) if method == "POST" else (text, "")
        return self.raw(method, path, query, body, x_mbx_apikey=key)

    def path(self, name: str) -> str:
        """The market's own path of a call."""
        return f"/fapi/v1/{name}" if self.market == "futures" else f"/api/v3/{name}"

    def place(
        self,
        name: str | None = "a",
        side: str = "BUY",
        qty: str = "0.010",
        price: str | None = None,
        **more: Any,
    ) -> Heard:
        """An order; with a price it is a limit order that waits."""
        limit = {} if price is None else {"price": price, "timeInForce": "GTC"}
        given = {"symbol": "BTCUSDT", "side": side, "quantity": qty, "newClientOrderId": name}
        kind = "MARKET" if price is None else "LIMIT"
        return self.ask("POST", self.path("order"), **{**given, "type": kind, **limit, **more})

    def query(self, name: str | None = "a", **more: Any) -> Heard:
        """The order with this client order id."""
        return self.ask("GET", self.path("order"), **{"symbol": "BTCUSDT", "origClientOrderId": name, **more})

    def cancel(self, name: str = "a", **more: Any) -> Heard:
        """Stop the order with this client order id."""
        return self.ask(
            "DELETE", self.path("order"), **{"symbol": "BTCUSDT", "origClientOrderId": name, **more}
        )

    def listed(self, name: str, **more: Any) -> Any:
        """A list about BTCUSDT: openOrders, allOrders, userTrades, myTrades."""
        return self.ask("GET", self.path(name), **{"symbol": "BTCUSDT", **more}).body

    def position(self) -> Decimal:
        """The signed position."""
        rows = self.ask("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT").body
        return sum((Decimal(row["positionAmt"]) for row in rows), Decimal(0))

    def wait(self, delay_ms: int) -> None:
        """Time goes on, and with it whatever is due."""
        self.now_ms += delay_ms
        self.exchange.advance(self.now_ms)

    def price(self, price: str, symbol: str = "BTCUSDT") -> None:
        """The market moves."""
        self.exchange.set_price(symbol, Decimal(price))

    def listen(self) -> str:
        """A listen key, and nothing waiting on it."""
        key = self.ask("POST", self.path("listenKey")).body["listenKey"]
        self.pushes()
        return str(key)

    def pushes(self) -> list[Push]:
        """What left for the streams since the last look."""
        return self.exchange.take_pushes()

    def events(self) -> list[Any]:
        """The same as JSON, without the cuts."""
        return [msgspec.json.decode(push.message) for push in self.pushes() if not push.close]

    def facts(self, kind: str) -> list[Mapping[str, object]]:
        """The journal's entries of one kind."""
        return [entry for entry in self.journal if entry["kind"] == kind]

    def accepted(self, name: str = "a") -> int:
        """How many orders were accepted under this client order id."""
        return sum(entry["client_order_id"] == name for entry in self.facts("accepted"))
