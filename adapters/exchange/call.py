"""One request as the handlers see it, and the venue that they answer for."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from adapters.exchange.accounts import Account
from adapters.exchange.faults import FaultPlan
from adapters.exchange.journal import Journal
from adapters.exchange.limits import Limiter
from adapters.exchange.matching import Matcher, Quotes
from adapters.exchange.orders import Book
from adapters.exchange.prices import PriceFeed
from adapters.exchange.refusals import Refusal
from adapters.exchange.streams import UserStreams
from adapters.exchange.terms import FillPolicy, Key, MarketName, SymbolRules
from adapters.exchange.timeline import Timeline
from adapters.exchange.words import Words

Security = Literal["none", "key", "signed"]


@dataclass(slots=True)
class Venue:
    """Everything there is on the exchange."""

    market: MarketName
    rules: dict[str, SymbolRules]
    keys: dict[str, Key]
    accounts: dict[str, Account]
    timeline: Timeline
    feed: PriceFeed
    quotes: Quotes
    policy: FillPolicy
    book: Book
    matcher: Matcher
    streams: UserStreams
    limiter: Limiter
    faults: FaultPlan
    journal: Journal
    words: Words
    dice: random.Random


@dataclass(slots=True)
class Call:
    """One request with its parameters decoded; `key` and `account` only where the endpoint asks for them.

    `late_ms`: the fault plan lets an order reach the engine that much later. `hidden_ms`, `unlisted_ms`: how
    long GET order and the lists do not show it then.
    """

    endpoint: Endpoint
    params: Mapping[str, str]
    peer: str
    key: Key | None = None
    account: Account | None = None
    fence_ms: int | None = None
    late_ms: int = 0
    hidden_ms: int = 0
    unlisted_ms: int = 0

    @property
    def owner(self) -> Account:
        """The account behind a signed request."""
        assert self.account is not None, "only an endpoint that asks for a key has an owner"
        return self.account

    def number(self, name: str) -> int | None:
        """A parameter whose digits were checked at the gateway."""
        text = self.params.get(name, "")
        return int(text) if text else None


Answer = object
Handler = Callable[[Venue, Call], Answer | Refusal]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the routing table. `weight` is taken from the parameters where it depends on them."""

    name: str
    handler: Handler
    security: Security = "none"
    weight: int = 1
    # Without a symbol some lists are dearer.
    weight_all: int | None = None
    places_order: bool = False
