"""Prices from the exchange's own book: its best bid and ask, asked for all the time, without an account.

Nothing here is signed and no key is read. The rules of the symbols come from the same host, and both stay
fresh for as long as the worker runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.binance.asking import Trouble
from adapters.binance.budget import FUTURES_LIMITS, SPOT_LIMITS, Budget
from adapters.binance.client import Client
from adapters.binance.exchange_clock import ExchangeClock
from adapters.binance.market import WEIGHTS, Hosts, Market, hosts_of, loopback_hosts
from adapters.binance.prices import Prices, ask_books
from adapters.binance.starting import Account, Rules, insist, know_the_rules, refusal_of
from adapters.binance.upkeep import KeptDeadline, Upkeep
from adapters.contract import StartRefusal, Wait
from adapters.filters import SymbolRules
from adapters.pacing import TokenBucket
from adapters.paper.quotes import NoQuote, Quote
from config.seams import Clock
from config.settings import Settings

if TYPE_CHECKING:
    from adapters.binance.transport import Transport

# A price that is missing now may be there this much later.
WAIT_MS = 100
# A question for one symbol weighs 2: with the turns that is half of what an address may spend in a minute.
LOOKS_PER_S = 10.0
NO_KEY = "no key is used"

_LIMITS = {Market.FUTURES: FUTURES_LIMITS, Market.SPOT: SPOT_LIMITS}


class BookQuotes:
    """The `QuoteSource` of the best bid and ask at `broker.rest_url`, else at the host of `broker.name`.

    `transport` replaces the wire in tests.
    """

    def __init__(self, settings: Settings, clock: Clock, *, transport: Transport | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._given = transport
        self._wire: Transport | None = None
        self._prices: Prices | None = None
        self._upkeep: Upkeep | None = None
        self._looks = TokenBucket(LOOKS_PER_S, now_s=clock.monotonic_s())

    @property
    def rules(self) -> Mapping[str, SymbolRules]:
        """What the exchange says of the symbols, as of its last answer; empty before `start`."""
        return {} if self._upkeep is None else self._upkeep.rules.of

    async def start(self) -> StartRefusal | None:
        """Learn the rules and the first prices; then keep both fresh."""
        settings, clock = self._settings, self._clock
        name = settings.broker.name
        if name not in list(Market):
            names = " or ".join(Market)
            return StartRefusal(
                "configuration",
                f"broker.name is {name}, must be {names} for the book that execution.paper.prices asks for",
            )
        market = Market(name)
        hosts = _hosts(settings, market)
        client = self._client(market, hosts)
        symbols = settings.execution.symbols
        about = Account(urlsplit(hosts.rest_url).netloc, NO_KEY, symbols)
        rules = await know_the_rules(client, about, clock)
        if isinstance(rules, StartRefusal):
            return rules
        self._prices = Prices(
            symbols,
            lambda wanted: ask_books(client, wanted),
            clock,
            max_age_ms=settings.execution.order.price_max_age_ms,
        )
        first = await insist(clock, self._first_prices)
        if isinstance(first, Trouble):
            return refusal_of(about, "its prices", first, clock.wall_ms())
        self._keep_fresh(client, symbols, rules)
        return None

    def wait_for(self, symbol: str) -> Wait | None:
        """While no price of `symbol` is fresh."""
        assert self._prices is not None, "asked before it was started"
        assert self._upkeep is not None, "asked before it was started"
        self._upkeep.raise_what_broke()
        if self._prices.price(symbol) is not None:
            return None
        self._prices.poke()
        return Wait("price", f"no price of {symbol} is fresh", self._clock.wall_ms() + WAIT_MS)

    def quote(self, symbol: str, signal_price: Decimal | None, event_ts_ms: int) -> Quote | NoQuote:
        """The book as it is now, whatever the signal says; an order meets no other."""
        assert self._prices is not None, "asked before it was started"
        price = self._prices.price(symbol)
        if price is None:
            self._prices.poke()
            max_age_ms = self._settings.execution.order.price_max_age_ms
            return NoQuote(
                "stale_price",
                f"the exchange has told no price of {symbol} for {max_age_ms} ms"
                " (execution.order.price_max_age_ms)",
            )
        age_ms = round((self._clock.boot_s() - price.asked_s) * 1000)
        return Quote(price.bid, price.ask, self._clock.wall_ms() - age_ms, is_book=True)

    async def look(self, symbol: str) -> None:
        """Ask for this symbol now, as long as the exchange's limits leave room for the turns as well.

        What comes back is the book that an order would meet that leaves at this moment.
        """
        assert self._prices is not None, "asked before it was started"
        now_s = self._clock.monotonic_s()
        if self._looks.available(now_s):
            self._looks.take(1, now_s)
            await self._prices.look(symbol)

    async def close(self) -> None:
        """End the questions and the connections; may be repeated."""
        if self._upkeep is not None:
            await self._upkeep.close()
        if self._wire is not None:
            await self._wire.close()

    async def _first_prices(self) -> bool | Trouble:
        assert self._prices is not None
        return await self._prices.ask_once() or Trouble("unavailable", "no answer to the question for prices")

    def _keep_fresh(self, client: Client, symbols: tuple[str, ...], rules: Rules) -> None:
        assert self._prices is not None
        self._upkeep = Upkeep(client, self._clock, symbols, self._prices, KeptDeadline())
        self._upkeep.rules = rules
        self._upkeep.start(_forgotten)

    def _client(self, market: Market, hosts: Hosts) -> Client:
        self._wire = self._given if self._given is not None else self._http(hosts.rest_url)
        broker = self._settings.broker
        return Client(
            market,
            self._wire,
            None,
            self._clock,
            ExchangeClock(self._clock),
            Budget(_LIMITS[market], order_weight=WEIGHTS[market].new_order),
            recv_window_ms=broker.recv_window_ms,
            request_timeout_s=broker.request_timeout_ms / 1000,
        )

    def _http(self, rest_url: str) -> Transport:
        # 140 ms that only a source with a wire pays.
        from adapters.binance.aiohttp_transport import AiohttpTransport

        trust_env = self._settings.broker.trust_env_proxy
        return AiohttpTransport(rest_url, self._clock, stream_url=None, trust_env=trust_env)


def _hosts(settings: Settings, market: Market) -> Hosts:
    """The real prices are those of the real market; a testnet's are nobody's."""
    if settings.broker.rest_url is not None:
        return loopback_hosts(settings.broker.rest_url, settings.broker.stream_url)
    return hosts_of(market, "live")


async def _forgotten(until_ms: int) -> None:
    """A pause that the exchange asks for lasts as long as this process: nothing is kept without a store."""
