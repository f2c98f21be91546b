"""The exchange after a restart: orders, fills, positions and balances from the journal's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from adapters.exchange.accounts import Account
from adapters.exchange.call import Venue
from adapters.exchange.journal import (
    Accepted,
    Amended,
    Canceled,
    Entry,
    Expired,
    Fact,
    Filled,
    JournalError,
    LeverageSet,
    ModeSet,
    known_order,
    order_of,
    read_fact,
)
from adapters.exchange.orders import Trade


def replay(venue: Venue, entries: Iterable[Entry], balances: Mapping[str, Decimal]) -> None:
    """Bring an unused venue to where the journal ends; orders that were filling go on."""
    assert not venue.book.orders, "a journal is replayed before any order"
    for entry in entries:
        fact = read_fact(entry)
        if isinstance(fact, Accepted | ModeSet | LeverageSet):
            # The key of an account may be gone since.
            venue.accounts.setdefault(fact.account, Account(fact.account, dict(balances)))
        _apply(venue, fact)
        venue.journal.entries.append(dict(entry))
    for symbol in venue.rules:
        for order in venue.book.open_of_symbol(symbol):
            venue.matcher.begin(order)


def _apply(venue: Venue, fact: Fact) -> None:
    match fact:
        case Accepted():
            if fact.symbol not in venue.rules:
                raise JournalError(f"journal speaks of {fact.symbol}, which does not trade here: add it")
            venue.book.add(order_of(fact))
        case Filled():
            order = known_order(venue.book, fact.order_id)
            venue.matcher.settle(order, _trade_of(fact, order.terms.position_side))
        case Amended():
            order = known_order(venue.book, fact.order_id)
            order.terms = msgspec.structs.replace(order.terms, qty=fact.qty, price=fact.price)
            order.updated_ms = fact.exchange_ms
        case Canceled():
            venue.book.finish(known_order(venue.book, fact.order_id), "CANCELED", fact.exchange_ms)
        case Expired():
            venue.book.finish(known_order(venue.book, fact.order_id), "EXPIRED", fact.exchange_ms)
        case ModeSet():
            venue.accounts[fact.account].hedge = fact.hedge
        case LeverageSet():
            venue.accounts[fact.account].leverage[fact.symbol] = fact.leverage
        case _:
            # Faults and late refusals changed nothing.
            pass


def _trade_of(fact: Filled, position_side: str) -> Trade:
    return Trade(
        trade_id=fact.trade_id,
        order_id=fact.order_id,
        symbol=fact.symbol,
        side=fact.side,
        position_side=position_side,
        qty=fact.qty,
        price=fact.price,
        fee=fact.fee,
        fee_asset=fact.fee_asset,
        realized=fact.realized,
        maker=fact.maker,
        at_ms=fact.exchange_ms,
    )
