"""The start: the venue's clock, its rules, and what it says of the account, each asked for until it is known.

Nothing is placed here. A venue that does not answer is asked again for a while, since one lost reply is
no reason to stay away; what it does answer is believed at once.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.binance import guards, wire
from adapters.binance.asking import Trouble, ask, listens_again_ms
from adapters.binance.client import Client
from adapters.binance.lookup import OUR_PREFIX
from adapters.binance.market import Market
from adapters.binance.symbol_rules import limits_of, rules_of
from adapters.binance.wire_exchange_info import ExchangeInfo, read_exchange_info
from adapters.binance.wire_replies import (
    RestrictionsReply,
    read_account,
    read_position_mode,
    read_restrictions,
)
from adapters.contract import StartRefusal
from adapters.filters import SymbolRules
from config.seams import Clock

# With three of ten replies lost, one start in a million is refused.
ATTEMPTS_MAX = 12
ATTEMPT_PAUSE_S = 0.25
# Silence costs a whole time-out each time.
ATTEMPTS_S_MAX = 40.0
# A pause that the venue asks for is waited out up to here; a ban is longer and ends the start.
PAUSE_S_MAX = 90.0

# An answer without a time that no trouble of the venue explains.
NO_TIME = re.compile(r"HTTP status [234]\d\d without a time")

T = TypeVar("T")


class Account(msgspec.Struct, frozen=True):
    """Whose account is looked at. `host` is the venue's name, `key_name` where the key was found.

    `prefix` begins every client order id of ours there.
    """

    host: str
    key_name: str
    symbols: tuple[str, ...]
    prefix: str = OUR_PREFIX

    def is_ours(self, client_order_id: str) -> bool:
        """True for the orders of signals, whose ids begin with our prefix."""
        return client_order_id.startswith(self.prefix)


class Rules(msgspec.Struct, frozen=True):
    """What the venue says of each symbol that it has."""

    of: dict[str, SymbolRules]
    base_assets: dict[str, str]


async def insist(clock: Clock, question: Callable[[], Awaitable[T | Trouble]]) -> T | Trouble:
    """Ask until there is an answer, a definite no, or no more patience."""
    begun_s = clock.boot_s()
    attempts, paused_s = 0, 0.0
    while True:
        attempts += 1
        answer = await question()
        if not isinstance(answer, Trouble) or answer.kind not in ("unavailable", "deadline"):
            return answer
        pause_s = ATTEMPT_PAUSE_S
        if answer.retry_at_ms is not None:
            pause_s = max(pause_s, (answer.retry_at_ms - clock.wall_ms()) / 1000)
            paused_s += pause_s
        spent_s = clock.boot_s() - begun_s - paused_s
        if attempts >= ATTEMPTS_MAX or spent_s > ATTEMPTS_S_MAX or paused_s > PAUSE_S_MAX:
            return answer
        await clock.sleep(pause_s)


def refusal_of(account: Account, what: str, trouble: Trouble, now_ms: int) -> StartRefusal:
    """The sentence for a question that has no answer."""
    match trouble.kind:
        case "denied":
            return guards.denied(account.host, trouble.text, account.key_name)
        case "deadline":
            return guards.held_off(account.host, trouble.text, trouble.retry_at_ms, now_ms)
        case "unavailable":
            return guards.unreachable(account.host, trouble.text)
        case _:
            return guards.not_understood(account.host, what, trouble.text)


async def know_the_clock(client: Client, account: Account, clock: Clock) -> StartRefusal | None:
    """The venue's time from enough samples, and not too far from ours."""

    async def sample() -> bool | Trouble:
        # Samples of a round that broke off count: the next one goes on from there.
        why = await client.sync_clock()
        if client.exchange_clock.synced:
            return True
        until_ms = listens_again_ms(client)
        if until_ms > clock.wall_ms():
            return Trouble("deadline", why or "no time", until_ms)
        # A former run may have used up the minute's requests: that passes with the minute.
        room = client.obstacle(wire.server_time(client.market), urgent=True)
        return Trouble("unavailable", why or "no time", None if room is None else room.retry_at_ms)

    known = await insist(clock, sample)
    if isinstance(known, Trouble):
        if known.kind == "unavailable" and NO_TIME.search(known.text):
            return guards.no_clock(account.host, known.text)
        return refusal_of(account, "its time", known, clock.wall_ms())
    return guards.clock_away(account.host, client.exchange_clock.offset_ms(clock.wall_ms()))


async def read_rules(client: Client, symbols: tuple[str, ...]) -> Rules | Trouble:
    """The rules of the symbols that the venue has, and its limits into the budget. One request."""

    def read(body: bytes) -> ExchangeInfo | None:
        return read_exchange_info(body, symbols)

    info = await ask(client, wire.exchange_info(client.market, symbols), read)
    if isinstance(info, Trouble):
        return info
    client.budget.learn(limits_of(info.rate_limits))
    rules = {reply.symbol: rules_of(client.market, reply) for reply in info.symbols}
    unreadable = [*info.unreadable, *(symbol for symbol, found in rules.items() if found is None)]
    if unreadable:
        return Trouble("unreadable", f"the rules of {unreadable[0]} make no sense")
    return Rules(
        {symbol: found for symbol, found in rules.items() if found is not None},
        {reply.symbol: reply.base_asset for reply in info.symbols},
    )


async def know_the_rules(client: Client, account: Account, clock: Clock) -> Rules | StartRefusal:
    """The rules of all symbols, each of which exists and trades."""
    rules = await insist(clock, lambda: read_rules(client, account.symbols))
    if isinstance(rules, Trouble):
        # Spot refuses the whole question when one of the symbols is unknown.
        if rules.kind == "refused" and "-1121" in rules.text:
            return guards.some_symbol_unknown(account.host, account.symbols)
        return refusal_of(account, "its rules", rules, clock.wall_ms())
    status_of = {symbol: found.status for symbol, found in rules.of.items()}
    return guards.symbols_trade(account.host, account.symbols, status_of) or rules


async def know_the_account(client: Client, account: Account, clock: Clock) -> StartRefusal | None:
    """The key is good, the account may trade, and it holds one position for each symbol."""
    state = await insist(clock, lambda: ask(client, wire.account(client.market), read_account))
    if isinstance(state, Trouble):
        return refusal_of(account, "the account", state, clock.wall_ms())
    if state.can_trade is False:
        return guards.may_not_trade(account.host, account.key_name)
    if client.market is not Market.FUTURES:
        return None
    mode = await insist(clock, lambda: ask(client, wire.position_mode(), read_position_mode))
    if isinstance(mode, Trouble):
        return refusal_of(account, "the position mode", mode, clock.wall_ms())
    return guards.hedge_mode(mode.dual_side_position)


async def know_it_may_trade(
    client: Client, account: Account, clock: Clock, rules: Rules
) -> StartRefusal | None:
    """The key may place orders, where no host tells its rights: an order is rehearsed, none is placed.

    Whatever else is wrong with the rehearsed order is no matter.
    """
    symbol = account.symbols[0]
    request = wire.rehearse_order(client.market, symbol, rules.of[symbol].lot.minimum or Decimal(1))
    told = await insist(clock, lambda: ask(client, request, lambda _: True))
    if isinstance(told, Trouble) and "HTTP 404" in told.text:
        return None
    if isinstance(told, Trouble) and told.kind == "denied":
        return guards.may_not_trade(account.host, account.key_name)
    if isinstance(told, Trouble) and told.kind in ("unavailable", "deadline"):
        return refusal_of(account, "the right to trade", told, clock.wall_ms())
    return None


async def know_the_key(
    client: Client, account: Account, clock: Clock, market: Market, *, may_be_missing: bool
) -> StartRefusal | None:
    """What the key may do, from the host that tells it: trade on `market` and not withdraw.

    `may_be_missing`: a host on loopback need not have the question.
    """
    rights = await insist(clock, lambda: ask(client, wire.api_restrictions(market), read_restrictions))
    if isinstance(rights, Trouble):
        return _without_rights(account, rights, clock, may_be_missing)
    if rights.enable_withdrawals:
        return guards.may_withdraw(account.key_name)
    if not (rights.enable_reading and _may_trade(rights, market)):
        return guards.may_not_trade(account.host, account.key_name)
    return None


def _may_trade(rights: RestrictionsReply, market: Market) -> bool:
    return rights.enable_futures if market is Market.FUTURES else rights.enable_spot_and_margin_trading


def _without_rights(
    account: Account, trouble: Trouble, clock: Clock, may_be_missing: bool
) -> StartRefusal | None:
    if trouble.kind == "denied":
        return refusal_of(account, "the key's rights", trouble, clock.wall_ms())
    if may_be_missing and "HTTP 404" in trouble.text:
        return None
    return guards.rights_unknown(account.host, trouble.text)
