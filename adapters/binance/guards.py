"""What must hold before the first order: one sentence for each thing that does not.

Pure. `kind` decides the exit code: 69 for a venue that is not there, 77 for a key that may not do
what it must (or may do what it must not), 78 for what the operator has set wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from adapters.contract import StartRefusal

# A signal from further ahead is skipped as coming from the future, and one of a minute ago is stale:
# with a larger offset the worker would run, look well and send nothing.
CLOCK_OFFSET_MS_MAX = 5_000

# How the venue says that key and secret do not belong together.
BAD_SIGNATURE = "-1022"

# The firewall in front of the venue has no codes; it refuses addresses and countries, and knows no keys.
EDGE_REFUSES = re.compile(r"HTTP (403|451)(?! code)")

# What a symbol has to say of itself to be traded.
TRADING = "TRADING"


def unreachable(host: str, why: str) -> StartRefusal:
    """No answer, or none that says anything."""
    return StartRefusal("unavailable", f"{host} cannot be asked ({why}): check the network, then start again")


def held_off(host: str, text: str, until_ms: int | None, now_ms: int) -> StartRefusal:
    """The venue answers nobody at this address for a while."""
    wait = "" if until_ms is None else f" for another {max(0, until_ms - now_ms) // 1000 + 1} s"
    return StartRefusal(
        "unavailable", f"{host} refuses all requests of this host{wait} ({text}): start again after that"
    )


def no_clock(host: str, why: str) -> StartRefusal:
    """Somebody answers, and not with a time: another program, or another market, listens there."""
    return StartRefusal(
        "unavailable",
        f"{host} does not tell the time as the exchange does ({why}): check broker.name and broker.rest_url",
    )


def not_understood(host: str, what: str, why: str) -> StartRefusal:
    """A reply that is not the documented one: another program may be listening there."""
    return StartRefusal(
        "unavailable",
        f"{host} has no usable answer to the question for {what} ({why}): "
        "check broker.name and broker.rest_url",
    )


def denied(host: str, text: str, key_name: str) -> StartRefusal:
    """The key is wrong, of another network, or bound to other addresses; or the secret is another key's."""
    return StartRefusal("permission", _denied(host, text, key_name))


def denied_at_work(host: str, text: str, key_name: str) -> str:
    """Why new orders halt: the key was good at the start and is not any more."""
    return f"{_denied(host, text, key_name)}, then resume, or restart with another key"


def _denied(host: str, text: str, key_name: str) -> str:
    if EDGE_REFUSES.match(text):
        return (
            f"{host} refuses requests from this address before it looks at the API key ({text}): look "
            "whether the address is blocked, or in a country that is not served"
        )
    if BAD_SIGNATURE in text:
        return (
            f"{host} refuses the signature made for the API key in {key_name} ({text}): "
            "give the secret that belongs to this key"
        )
    return (
        f"{host} refuses the API key in {key_name} ({text}): give a key of this network that may read and "
        "trade from this address"
    )


def clock_away(host: str, offset_ms: int) -> StartRefusal | None:
    """The host's clock is so far from the venue's that the age of a signal means nothing."""
    if abs(offset_ms) <= CLOCK_OFFSET_MS_MAX:
        return None
    # The offset is the venue's clock minus ours.
    side = "behind" if offset_ms > 0 else "ahead of"
    return StartRefusal(
        "configuration",
        f"the clock of this host is {abs(offset_ms) / 1000:.1f} s {side} {host}, must be within "
        f"{CLOCK_OFFSET_MS_MAX // 1000} s: set it (timedatectl set-ntp true), then start again",
    )


def hedge_mode(dual_side: bool) -> StartRefusal | None:
    """Two positions of one symbol: what an order adds to depends on more than its side."""
    if not dual_side:
        return None
    return StartRefusal(
        "configuration",
        "the account is in hedge mode, must be in one-way mode: switch it under Preferences, Position Mode",
    )


def may_not_trade(host: str, key_name: str) -> StartRefusal:
    """The key or its account can read and not trade."""
    return StartRefusal(
        "permission",
        f"the API key in {key_name} may not trade on {host}: enable trading for it, nothing else",
    )


def may_withdraw(key_name: str) -> StartRefusal:
    """A key that leaks must not be able to empty the account."""
    return StartRefusal(
        "permission",
        f"the API key in {key_name} may withdraw, must not: disable withdrawals for it, or make another key",
    )


def rights_unknown(host: str, why: str) -> StartRefusal:
    """Whether the key may withdraw cannot be learned; live trading begins with an answer."""
    return StartRefusal(
        "unavailable", f"{host} does not say whether the API key may withdraw ({why}): start again later"
    )


def symbols_trade(host: str, symbols: Iterable[str], status_of: Mapping[str, str]) -> StartRefusal | None:
    """Every symbol exists and is open for trading; `status_of` is what the venue lists."""
    wanted = tuple(symbols)
    unknown = [symbol for symbol in wanted if symbol not in status_of]
    if unknown:
        return StartRefusal(
            "configuration",
            f"{host} has no symbol {', '.join(unknown[:5])}: take it out of execution.symbols",
        )
    closed = [symbol for symbol in wanted if status_of[symbol] != TRADING]
    if closed:
        return StartRefusal(
            "configuration",
            f"{closed[0]} is {status_of[closed[0]]} on {host}, must be {TRADING}: "
            "take it out of execution.symbols, or wait until it trades again",
        )
    return None


def some_symbol_unknown(host: str, symbols: Iterable[str]) -> StartRefusal:
    """Where the venue says that one of them does not exist, and not which."""
    return StartRefusal(
        "configuration",
        f"{host} does not know one of the symbols {', '.join(symbols)}: take it out of execution.symbols",
    )
