"""The command `exchange`: a practice venue on loopback that speaks the protocol of the real one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from worker.exits import Exit

SYMBOL = re.compile(r"[A-Z0-9]{2,20}(=[0-9]{1,12}(\.[0-9]{1,8})?)?")


Port = Annotated[
    int, typer.Option(metavar="P", min=0, max=65_535, help="Port on loopback; 0 is any free one.")
]
Market = Annotated[Literal["futures", "spot"], typer.Option(metavar="MARKET", help="futures or spot.")]
Traded = Annotated[
    str, typer.Option(metavar="A,B", help="Symbols that trade; SOLUSDT=150 names the price it begins at.")
]
Price = Annotated[
    str, typer.Option(metavar="FEED", help="fixed, walk, or a file with lines like 1500,BTCUSDT,60010.5")
]
Seed = Annotated[int, typer.Option(metavar="K", min=0, help="The same seed gives the same dice.")]
JournalPath = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write accepted orders and fills here, and begin with what it holds."),
]
FaultsPath = Annotated[
    Path | None, typer.Option(metavar="FILE", help="JSON list of what shall go wrong, and when.")
]
ApiKey = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="API key that it knows [default: loopback-key, for practice]."),
]
SecretName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Environment variable with the secret of --key.")
]
PublicKeyPath = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Ed25519 public key (PEM) of --key, instead.")
]


def exchange(
    port: Port = 0,
    market: Market = "futures",
    symbols: Traded = "BTCUSDT,ETHUSDT",
    price: Price = "fixed",
    seed: Seed = 0,
    journal: JournalPath = None,
    faults: FaultsPath = None,
    key: ApiKey = None,
    secret_env: SecretName = None,
    public_key: PublicKeyPath = None,
) -> None:
    """Run a practice exchange on loopback that speaks the protocol of the real one.

    Point the worker at it: V13_BROKER_REST_URL is the rest_url that it prints, BINANCE_API_KEY and
    BINANCE_API_SECRET are loopback-key and loopback-secret. It trades nothing but its own numbers.
    """
    from adapters.exchange.command import ExchangeOptionError, ExchangeOptions, PortTakenError, serve_exchange
    from config.seams import SystemClock

    options = ExchangeOptions(
        port=port,
        market=market,
        symbols=_symbols(symbols),
        price=price,
        seed=seed,
        journal=journal,
        faults=faults,
        keys=_keys(key, secret_env, public_key),
    )
    try:
        raise typer.Exit(serve_exchange(options, SystemClock()))
    except PortTakenError as error:
        _refuse(f"{error} by {_holder_of(error.port)}: stop that process, or name another --port (0: any)")
    except ExchangeOptionError as error:
        _refuse(str(error))


def _symbols(text: str) -> tuple[str, ...]:
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    if not names or not all(SYMBOL.fullmatch(name) for name in names):
        raise typer.BadParameter(
            f"{text!r} is not like BTCUSDT,ETHUSDT or SOLUSDT=150", param_hint="--symbols"
        )
    return tuple(dict.fromkeys(names))


def _keys(key: str | None, secret_env: str | None, public_key: Path | None) -> tuple[tuple[str, str], ...]:
    """The one key that was given with its secret; the documented practice key otherwise."""
    from adapters.exchange.terms import DEFAULT_KEYS

    if key is None:
        if secret_env is not None or public_key is not None:
            raise typer.BadParameter("it belongs to a --key, which is missing", param_hint="--secret-env")
        return tuple(DEFAULT_KEYS.items())
    if (secret_env is None) == (public_key is None):
        raise typer.BadParameter("it needs --secret-env NAME or --public-key FILE", param_hint="--key")
    if public_key is not None:
        try:
            return ((key, public_key.read_text("ascii")),)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(
                f"{public_key} cannot be read ({error})", param_hint="--public-key"
            ) from error
    secret = os.environ.get(secret_env or "", "")
    if not secret:
        raise typer.BadParameter(f"environment variable {secret_env} is not set", param_hint="--secret-env")
    return ((key, secret),)


def _holder_of(port: int) -> str:
    from worker.http import holder_of

    return holder_of(port)


def _refuse(sentence: str) -> None:
    typer.echo(f"execution-worker: {sentence}", err=True)
    raise typer.Exit(Exit.CONFIGURATION)
