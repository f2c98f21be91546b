"""Doubts about an exchange: limits, halts, credentials, who else trades the account, what the exchange says.

Nothing here is looked at in the modes that send no orders. The exchange is asked what a start asks it,
within a bounded time, and only with credentials that can be read.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from adapters.binance.adapter import DEADLINE_KEY
from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials, CredentialsError
from adapters.contract import StartRefusal
from adapters.registry import credentials_for
from config.rules import LIVE_CONFIRM, RISK_KEYS, value_of
from config.seams import Clock
from config.settings import Broker, Mode, Settings
from store import statements as sql
from store.account_lock import account_holder
from store.connection import open_reader
from store.halt_file import HaltFileFaultError, read_halt
from store.halts import is_over
from store.paths import DATABASE
from store.records import Halt
from worker.check_output import OTHER_OUTPUT, stamps_of
from worker.doubt import Row, fail, ok, warn
from worker.parts import EXECUTIONS_FOLDER, lock_name_of
from worker.status import halts_on_record
from worker.view import KEPT_STAMP
from worker.when import moment

# Clock, rules, account and rights are a dozen requests; a host that is silent shall not hold a person up.
EXCHANGE_S_MAX = 15.0


def exchange_rows(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Iterator[Row]:
    """Everything that testnet and live need besides the rest; nothing in other modes."""
    execution = settings.execution
    if not execution.mode.touches_exchange:
        return
    folder = execution.output_dir / EXECUTIONS_FOLDER
    if execution.mode is Mode.LIVE:
        yield ok("live", f"{LIVE_CONFIRM}=YES is set: orders trade real money")
    yield from limit_rows(settings)
    yield from halt_rows(folder, clock.wall_ms())
    try:
        credentials = credentials_for(settings, environ)
    except CredentialsError as error:
        yield _refused("credentials", str(error))
        return
    assert credentials is not None
    kind = "Ed25519 private key" if credentials.is_private_key else "HMAC secret"
    yield ok("credentials", f"API key in {credentials.origin}, with its {kind}")
    yield account_row(folder, credentials.fingerprint, settings.broker)
    yield venue_row(settings, credentials, clock, folder)


def limit_rows(settings: Settings) -> Iterator[Row]:
    """The hard limits; live does not even load its settings without them."""
    missing = [key for key in RISK_KEYS if value_of(settings, key) is None]
    if missing:
        yield warn(
            "limits",
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} null: "
            "nothing but the account bounds what is traded",
            "set them; live does not start without",
        )
        return
    risk = settings.execution.risk
    yield ok(
        "limits",
        f"{risk.max_order_usd} USD an order, {risk.max_orders_per_minute} orders a minute, "
        f"{risk.max_position_usd} USD a position",
    )


def halt_rows(folder: Path, now_ms: int) -> Iterator[Row]:
    """Halts in force: the worker starts and sends nothing."""
    found = [halt for halt in _halts(folder) if not is_over(halt, now_ms)]
    for halt in found:
        scope = f" --symbol {halt.scope}" if halt.scope else ""
        until = "" if halt.until_ms is None else f" until {moment(halt.until_ms)}"
        yield warn(
            "halt",
            f"new orders of {halt.scope or 'all symbols'} are halted{until} "
            f"by {halt.who or 'a file'}: {halt.why}",
            f'execution-worker resume --why "…"{scope}',
        )
    if not found:
        yield ok("halt", "none in force")


def _halts(folder: Path) -> list[Halt]:
    path = folder / DATABASE
    try:
        if os.path.exists(path):
            with closing(open_reader(path)) as reader:
                return halts_on_record(reader, folder)
        in_file = read_halt(folder)
    except HaltFileFaultError as error:
        return [Halt(scope="", why=str(error), who="file", at_ms=0)]
    except sqlite3.Error:
        # Whatever is wrong with the store stands in the row about it.
        return []
    return [] if in_file is None else [in_file]


def account_row(folder: Path, fingerprint: str, broker: Broker) -> Row:
    """Whether this account is ours to trade: no other worker has it, and the store has traded no other."""
    held = account_holder(lock_name_of(fingerprint, broker))
    if held is not None:
        return _refused("account", held)
    before = stamps_of(folder).get("account", fingerprint)
    if before != fingerprint and _has_executions(folder):
        return fail(
            "account",
            f"{folder / DATABASE} has traded the account of key {before}, this key is {fingerprint}",
            OTHER_OUTPUT,
        )
    return ok("account", f"of key {fingerprint}, traded by nobody on this host")


def _has_executions(folder: Path) -> bool:
    try:
        with closing(open_reader(folder / DATABASE)) as reader:
            return bool(reader.execute(sql.LAST_ROW).fetchone()[0])
    except sqlite3.Error:
        return False


def venue_row(settings: Settings, credentials: Credentials, clock: Clock, folder: Path) -> Row:
    """What the exchange says to this key, now."""
    kept = stamps_of(folder).get(KEPT_STAMP + DEADLINE_KEY, "")
    if kept.isdigit() and int(kept) > clock.wall_ms():
        return warn(
            "exchange",
            f"it wants to hear nothing from this host before {moment(int(kept))}, so it was not asked",
            "wait until then; a worker that is started now waits by itself",
        )
    try:
        said = asyncio.run(examined(settings, credentials, clock))
    except CredentialsError as error:
        return _refused("exchange", str(error))
    return said if isinstance(said, Row) else _refused("exchange", said.text)


async def examined(settings: Settings, credentials: Credentials, clock: Clock) -> Row | StartRefusal:
    """What a start would ask, asked within a bounded time; nothing is placed."""
    adapter = open_binance(settings, credentials, clock)
    try:
        refusal = await asyncio.wait_for(adapter.examine(), EXCHANGE_S_MAX)
    except TimeoutError:
        return fail(
            "exchange",
            f"it did not answer within {EXCHANGE_S_MAX:.0f} s",
            "check the network, then try again",
        )
    finally:
        await adapter.close()
    if refusal is not None:
        return refusal
    offset_ms = adapter.clock_offset_ms
    return ok(
        "exchange",
        f"knows the key, which may trade; all symbols trade; its clock is {abs(offset_ms)} ms "
        f"{'behind' if offset_ms < 0 else 'ahead of'} this host's",
    )


def _refused(subject: str, sentence: str) -> Row:
    """A sentence of the house: what is, then what to do."""
    finding, _, remedy = sentence.rpartition(": ")
    return fail(subject, finding, remedy) if finding else fail(subject, sentence, "")
