"""The side door: change prices and faults while it runs, read the journal. No part of the Binance API.

`POST /control/faults` takes a list of rules (replaces the plan) or `{"add": [...]}`; `GET` shows the rules
with their counts. `POST /control/price` takes `{"symbol", "price"}`; `POST /control/symbol` the rules of a
symbol; `POST /control/key` changes what a key may do, or revokes it; `POST /control/account` takes
`{"hedge"}`; `POST /control/cut` cuts the streams, `POST /control/expire` ends the listen keys.
`GET /control/journal?from=N` shows the entries after the Nth, `GET /control/state` a snapshot. Only this
machine may ask; there is no key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from decimal import Decimal
from urllib.parse import parse_qs

import msgspec

from adapters.exchange.accounts import held
from adapters.exchange.call import Venue
from adapters.exchange.faults import FaultPlanError, FaultRule
from adapters.exchange.messages import Incoming, Reply
from adapters.exchange.orders import ZERO
from adapters.exchange.strikes import JSON_TYPE
from adapters.exchange.terms import SymbolRules

PREFIX = "/control/"
ENTRIES_MAX = 10_000


class _Price(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str
    price: Decimal


class _Added(msgspec.Struct, forbid_unknown_fields=True):
    add: tuple[FaultRule, ...]


class _KeyRights(msgspec.Struct, forbid_unknown_fields=True):
    """What changes for a key; whatever is left out stays. `known: false` revokes it for good."""

    key: str
    known: bool = True
    may_trade: bool | None = None
    may_withdraw: bool | None = None
    allowed_ips: tuple[str, ...] | None = None


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    hedge: bool
    account: str = "main"


def handle_control(venue: Venue, incoming: Incoming) -> Reply:
    """Answer one control request."""
    if not is_this_machine(incoming.peer):
        return _reply(403, {"msg": "only this machine may control the exchange"})
    command = _COMMANDS.get((incoming.method, incoming.path))
    if command is None:
        known = ", ".join(f"{method} {path}" for method, path in _COMMANDS)
        return _reply(404, {"msg": f"no such control request; there are {known}"})
    try:
        return _reply(200, command(venue, incoming))
    except (msgspec.DecodeError, FaultPlanError, ValueError) as error:
        return _reply(400, {"msg": f"{incoming.path}: {error}"})


def is_this_machine(peer: str) -> bool:
    """Whether the address is a loopback one."""
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


def _set_faults(venue: Venue, incoming: Incoming) -> object:
    given = msgspec.json.decode(incoming.body, type=tuple[FaultRule, ...] | _Added)
    if isinstance(given, _Added):
        venue.faults.add(given.add)
    else:
        venue.faults.replace(given)
    return venue.faults.counts()


def _faults(venue: Venue, incoming: Incoming) -> object:
    return venue.faults.counts()


def _set_price(venue: Venue, incoming: Incoming) -> object:
    given = msgspec.json.decode(incoming.body, type=_Price)
    if given.symbol not in venue.rules or not given.price.is_finite() or given.price <= ZERO:
        raise ValueError(f"{given.symbol} {given.price}: a symbol that trades here and a price above 0")
    venue.feed.set_price(given.symbol, given.price)
    venue.matcher.on_prices()
    return {"symbol": given.symbol, "price": f"{given.price:f}"}


def _set_symbol(venue: Venue, incoming: Incoming) -> object:
    rules = msgspec.json.decode(incoming.body, type=SymbolRules)
    venue.rules[rules.symbol] = rules
    return msgspec.to_builtins(rules)


def _set_key(venue: Venue, incoming: Incoming) -> object:
    given = msgspec.json.decode(incoming.body, type=_KeyRights)
    if given.key not in venue.keys:
        raise ValueError("no such key")
    if not given.known:
        del venue.keys[given.key]
        return {"key": given.key, "known": False}
    rights = {
        name: value
        for name in ("may_trade", "may_withdraw", "allowed_ips")
        if (value := getattr(given, name)) is not None
    }
    changed = msgspec.structs.replace(venue.keys[given.key], **rights)
    venue.keys[given.key] = changed
    return {"key": given.key, "known": True, **{name: getattr(changed, name) for name in rights}}


def _set_account(venue: Venue, incoming: Incoming) -> object:
    given = msgspec.json.decode(incoming.body, type=_Account)
    account = venue.accounts.get(given.account)
    if account is None:
        raise ValueError(f"no account {given.account}, there are {', '.join(venue.accounts)}")
    if held(account) or any(True for _ in venue.book.open_orders(account.name)):
        raise ValueError("the position mode cannot change while there are orders or positions")
    if account.hedge is not given.hedge:
        account.hedge = given.hedge
        venue.journal.write("mode", account=account.name, hedge=account.hedge)
    return {"account": account.name, "hedge": account.hedge}


def _cut(venue: Venue, incoming: Incoming) -> object:
    for account in venue.accounts:
        venue.streams.cut(account)
    return {}


def _expire(venue: Venue, incoming: Incoming) -> object:
    for account in venue.accounts:
        venue.streams.expire(account)
    return {}


def _journal(venue: Venue, incoming: Incoming) -> object:
    first = int(parse_qs(incoming.query).get("from", ["0"])[0])
    return venue.journal.entries[max(first, 0) :][:ENTRIES_MAX]


def _state(venue: Venue, incoming: Incoming) -> object:
    return snapshot(venue)


def snapshot(venue: Venue) -> dict[str, object]:
    """Orders by status, positions, balances, prices and faults, as JSON-able values."""
    statuses: dict[str, int] = {}
    for order in venue.book.orders.values():
        statuses[order.status] = statuses.get(order.status, 0) + 1
    return {
        "market": venue.market,
        "now_ms": venue.timeline.host_ms,
        "exchange_ms": venue.timeline.now_ms,
        "orders": statuses,
        "accounts": {
            name: {
                "balances": {asset: f"{amount:f}" for asset, amount in account.balances.items()},
                "hedge": account.hedge,
                "positions": [
                    {
                        "symbol": symbol,
                        "side": side,
                        "qty": f"{position.qty:f}",
                        "entry": f"{position.entry:f}",
                    }
                    for (symbol, side), position in sorted(account.positions.items())
                ],
            }
            for name, account in venue.accounts.items()
        },
        "prices": {symbol: f"{venue.quotes.middle(symbol):f}" for symbol in venue.rules},
        "faults": venue.faults.counts(),
        "journal_entries": len(venue.journal.entries),
    }


def _reply(status: int, value: object) -> Reply:
    return Reply(status, msgspec.json.encode(value), (JSON_TYPE,))


_COMMANDS: Mapping[tuple[str, str], Callable[[Venue, Incoming], object]] = {
    ("GET", "/control/faults"): _faults,
    ("POST", "/control/faults"): _set_faults,
    ("POST", "/control/price"): _set_price,
    ("POST", "/control/symbol"): _set_symbol,
    ("POST", "/control/key"): _set_key,
    ("POST", "/control/account"): _set_account,
    ("POST", "/control/cut"): _cut,
    ("POST", "/control/expire"): _expire,
    ("GET", "/control/journal"): _journal,
    ("GET", "/control/state"): _state,
}
