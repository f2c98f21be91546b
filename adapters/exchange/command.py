"""`execution-worker exchange`: the practice exchange as a process, from its options to its end.

It listens on loopback only. What people and scripts wait for is one line on standard output:
`exchange_ready {"port": …, "rest_url": …, "stream_url": …, "keys": [...]}`. With a journal, orders, fills
and positions survive its restart.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultPlan, FaultPlanError, FaultRule, parse_rules
from adapters.exchange.journal import JournalError
from adapters.exchange.journal_file import (
    JournalFile,
    JournalFileError,
    JournalTakenError,
    JournalUnreadableError,
)
from adapters.exchange.prices import (
    FixedPrices,
    ListedPrices,
    PriceFeed,
    PriceListError,
    RandomWalk,
    listed_prices,
)
from adapters.exchange.server import ExchangeServer
from adapters.exchange.terms import DEFAULT_KEYS, FUTURES_RULES, SPOT_RULES, Key, MarketName, SymbolRules
from config.seams import Clock, seeded_random

HOST = "127.0.0.1"
CONNECTIONS_MAX = 1_024
PLAN_BYTES_MAX = 1 << 20
QUOTE_ASSET = "USDT"
# A symbol that the samples do not have trades under these terms.
OTHER_TICK = Decimal("0.01")
OTHER_STEP = Decimal("0.001")
OTHER_MIN_NOTIONAL = Decimal("5")
OTHER_START_PRICE = Decimal("100.00")

UNREADABLE = 65
CANNOT_WRITE = 73
HELD = 75


@dataclass(frozen=True, slots=True)
class ExchangeOptions:
    """What the command line gave. `keys` maps each API key to its secret or Ed25519 public key (PEM).

    `price` is `fixed`, `walk`, or the path of a price list; port 0 is any free one.
    """

    port: int = 0
    market: MarketName = "futures"
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    price: str = "fixed"
    seed: int = 0
    journal: Path | None = None
    faults: Path | None = None
    keys: tuple[tuple[str, str], ...] = tuple(DEFAULT_KEYS.items())


class ExchangeOptionError(Exception):
    """An option that cannot be used; the text is the whole sentence."""


class PortTakenError(ExchangeOptionError):
    """Somebody listens on the port already."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {HOST}:{port} is in use")
        self.port = port


def serve_exchange(options: ExchangeOptions, clock: Clock) -> int:
    """Run until SIGTERM or SIGINT; the exit code: 0; for the journal 65 (unreadable), 73 (full), 75 (held).

    Raises ExchangeOptionError for what an operator has to mend.
    """
    rules = tuple(_rules_of(name, options.market) for name in options.symbols)
    start_ms = clock.wall_ms()
    prices = _prices(options, rules, start_ms)
    faults = _faults(options)
    sock = _listen(options.port)
    journal = None
    try:
        journal = JournalFile(options.journal) if options.journal is not None else None
        exchange = Exchange(
            start_ms=start_ms,
            market=options.market,
            rules=rules,
            keys={name: Key(secret=secret) for name, secret in options.keys},
            seed=options.seed,
            faults=faults,
            prices=prices,
            journal=None if journal is None else journal.append,
        )
        if journal is not None:
            _restore(exchange, journal)
        asyncio.run(_run(ExchangeServer(exchange, clock, sock), options))
    except JournalFileError as error:
        sys.stderr.write(f"exchange: {error}\n")
        return _code_of(error)
    finally:
        sock.close()
        if journal is not None:
            journal.close()
    return 0


def _restore(exchange: Exchange, journal: JournalFile) -> None:
    try:
        exchange.restore(journal.entries())
    except JournalError as error:
        raise JournalUnreadableError(f"journal {journal.path}: {error}: name another journal") from error


def _code_of(error: JournalFileError) -> int:
    match error:
        case JournalUnreadableError():
            return UNREADABLE
        case JournalTakenError():
            return HELD
        case _:
            return CANNOT_WRITE


async def _run(server: ExchangeServer, options: ExchangeOptions) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.start()
    sys.stdout.write(f"exchange_ready {ready_line(server.port, options)}\n")
    sys.stdout.flush()
    try:
        await server.run()
    finally:
        await server.close()


def ready_line(port: int, options: ExchangeOptions) -> str:
    """The facts that a client needs, as JSON; secrets are not among them."""
    return msgspec.json.encode(
        {
            "port": port,
            "rest_url": f"http://{HOST}:{port}",
            "stream_url": f"ws://{HOST}:{port}",
            "keys": [name for name, _ in options.keys],
            "market": options.market,
            "symbols": [name.partition("=")[0] for name in options.symbols],
        }
    ).decode()


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        # Two sockets may bind one port as long as neither listens.
        sock.listen(CONNECTIONS_MAX)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(port) from error
        raise ExchangeOptionError(
            f"port {HOST}:{port} cannot be taken ({(error.strerror or str(error)).lower()}): name another one"
        ) from error
    return sock


def _rules_of(symbol: str, market: MarketName) -> SymbolRules:
    """The terms of `BTCUSDT`, or of `SOLUSDT=150`, which begins at that price."""
    name, _, price_text = symbol.partition("=")
    if not name.endswith(QUOTE_ASSET) or name == QUOTE_ASSET:
        raise ExchangeOptionError(f"symbol {name} must be quoted in {QUOTE_ASSET}, like BTCUSDT")
    samples = FUTURES_RULES if market == "futures" else SPOT_RULES
    rules = next((one for one in samples if one.symbol == name), None)
    if rules is None:
        rules = SymbolRules(
            symbol=name,
            tick=OTHER_TICK,
            step=OTHER_STEP,
            min_notional=OTHER_MIN_NOTIONAL,
            start_price=OTHER_START_PRICE,
        )
    if not price_text:
        return rules
    try:
        price = Decimal(price_text)
    except InvalidOperation:
        price = Decimal(0)
    if not price.is_finite() or price <= 0:
        raise ExchangeOptionError(f"price {price_text!r} of {name} must be a number above 0")
    return msgspec.structs.replace(rules, start_price=price)


def _prices(options: ExchangeOptions, rules: tuple[SymbolRules, ...], start_ms: int) -> PriceFeed:
    starts = {one.symbol: one.start_price for one in rules}
    match options.price:
        case "fixed":
            return FixedPrices(starts)
        case "walk":
            return RandomWalk(starts, seeded_random(options.seed), start_ms=start_ms)
        case name:
            try:
                text = _read(Path(name), "price list").decode()
                return ListedPrices(starts, listed_prices(text, start_ms))
            except (PriceListError, UnicodeDecodeError) as error:
                raise ExchangeOptionError(f"price list {name}: {error}") from error


def _faults(options: ExchangeOptions) -> FaultPlan:
    rules: tuple[FaultRule, ...] = ()
    if options.faults is not None:
        try:
            rules = parse_rules(_read(options.faults, "fault plan"))
        except FaultPlanError as error:
            raise ExchangeOptionError(f"{options.faults}: {error}") from error
    # A seed of its own, so that prices are the same with faults and without.
    return FaultPlan(rules, seeded_random(options.seed + 1))


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(PLAN_BYTES_MAX + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ExchangeOptionError(f"{what} {path} cannot be read ({why})") from error
    if len(data) > PLAN_BYTES_MAX:
        raise ExchangeOptionError(f"{what} {path} is longer than {PLAN_BYTES_MAX} bytes")
    return data
