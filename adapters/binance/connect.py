"""From settings and credentials to an adapter that is ready to start; nothing is connected here.

The hosts follow from the market and the mode alone, or from `broker.rest_url`, which names a loopback host.
HTTP is loaded with the first request, inside the running event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from adapters.binance.adapter import BinanceAdapter
from adapters.binance.budget import FUTURES_LIMITS, SPOT_LIMITS, Budget
from adapters.binance.client import Client
from adapters.binance.credentials import Credentials, CredentialsError
from adapters.binance.exchange_clock import ExchangeClock
from adapters.binance.lookup import OUR_PREFIX
from adapters.binance.market import WEIGHTS, Hosts, Market, hosts_of, is_loopback, loopback_hosts
from adapters.binance.signing import Signer, SigningKeyError, signer_of
from adapters.binance.starting import Account, know_the_clock, know_the_key
from adapters.binance.transport import (
    FirstMessage,
    HttpRequest,
    StreamClosed,
    Transport,
    WireResult,
)
from adapters.binance.upkeep import KeptDeadline
from adapters.contract import Guard, StartRefusal
from config.seams import Clock
from config.settings import Mode, Settings

_LIMITS = {Market.FUTURES: FUTURES_LIMITS, Market.SPOT: SPOT_LIMITS}
# The receive window is looked at when a request is taken out of a queue, and counted soon after.
REACH_EXTRA_MS = 10_000


class LaterTransport:
    """A `Transport` that is made when it is first used: that has to be inside the event loop."""

    def __init__(self, make: Callable[[], Transport]) -> None:
        self._make = make
        self._made: Transport | None = None

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        """As the real one."""
        return await self._transport().request(request, timeout_s=timeout_s, guard=guard)

    def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        """As the real one."""
        return self._transport().stream(path, opened, first=first)

    async def close(self) -> None:
        """Close what was made; one that was never used needs none."""
        if self._made is not None:
            await self._made.close()

    def _transport(self) -> Transport:
        if self._made is None:
            self._made = self._make()
        return self._made


def open_binance(
    settings: Settings,
    credentials: Credentials,
    clock: Clock,
    *,
    transport: Transport | None = None,
    neighbour: Transport | None = None,
    prefix: str = OUR_PREFIX,
) -> BinanceAdapter:
    """The adapter of `broker.name` in the configured mode.

    `transport` replaces the wire in tests, `neighbour` the one to the host that tells the rights of a key;
    `prefix` begins every client order id of ours on that account.

    Raises CredentialsError when the secret is no key that can sign.
    """
    market = Market(settings.broker.name)
    hosts = _hosts(settings, market)
    signer = _signer(credentials)
    wire = transport if transport is not None else _wire(settings, clock, hosts.rest_url, hosts.stream_url)
    deadline = KeptDeadline()
    client = _client(settings, market, wire, signer, clock, deadline)
    about = Account(_name(hosts.rest_url), credentials.origin, settings.execution.symbols, prefix)
    return BinanceAdapter(
        settings,
        client,
        wire,
        clock,
        about,
        has_stream=hosts.stream_url is not None,
        deadline=deadline,
        check_key=_key_check(settings, hosts, client, about, signer, clock, neighbour),
    )


def _hosts(settings: Settings, market: Market) -> Hosts:
    if settings.broker.rest_url is not None:
        return loopback_hosts(settings.broker.rest_url, settings.broker.stream_url)
    return hosts_of(market, "live" if settings.execution.mode is Mode.LIVE else "testnet")


def _signer(credentials: Credentials) -> Signer:
    try:
        return signer_of(credentials.api_key, credentials.secret)
    except SigningKeyError as error:
        raise CredentialsError(f"{credentials.origin}: {error}") from None


def _wire(settings: Settings, clock: Clock, rest_url: str, stream_url: str | None) -> Transport:
    def make() -> Transport:
        # 140 ms that only the modes with a wire pay.
        from adapters.binance.aiohttp_transport import AiohttpTransport

        trust_env = settings.broker.trust_env_proxy
        return AiohttpTransport(rest_url, clock, stream_url=stream_url, trust_env=trust_env)

    return LaterTransport(make)


def _client(
    settings: Settings,
    market: Market,
    transport: Transport,
    signer: Signer,
    clock: Clock,
    deadline: KeptDeadline | None,
) -> Client:
    broker = settings.broker
    reach_ms = broker.recv_window_ms + REACH_EXTRA_MS
    return Client(
        market,
        transport,
        signer,
        clock,
        ExchangeClock(clock),
        Budget(_LIMITS[market], order_weight=WEIGHTS[market].new_order, reach_ms=reach_ms),
        recv_window_ms=broker.recv_window_ms,
        request_timeout_s=broker.request_timeout_ms / 1000,
        on_deadline=None if deadline is None else deadline.note,
    )


def _key_check(
    settings: Settings,
    hosts: Hosts,
    client: Client,
    about: Account,
    signer: Signer,
    clock: Clock,
    other: Transport | None,
) -> Callable[[], Awaitable[StartRefusal | None]] | None:
    """The question for the key's rights: on live alone, and where a host answers it."""
    url = hosts.permissions_url
    if settings.execution.mode is not Mode.LIVE or url is None:
        return None
    market = client.market

    async def here() -> StartRefusal | None:
        return await know_the_key(client, about, clock, market, may_be_missing=is_loopback(url))

    async def elsewhere() -> StartRefusal | None:
        # The futures host does not tell; its neighbour has limits and a clock of its own.
        wire = other if other is not None else _wire(settings, clock, url, None)
        neighbour = _client(settings, Market.SPOT, wire, signer, clock, None)
        there = Account(_name(url), about.key_name, about.symbols)
        try:
            refusal = await know_the_clock(neighbour, there, clock)
            return refusal or await know_the_key(neighbour, there, clock, market, may_be_missing=False)
        finally:
            await wire.close()

    return here if url == hosts.rest_url else elsewhere


def _name(url: str) -> str:
    """The host and its port, as people know it."""
    return urlsplit(url).netloc
