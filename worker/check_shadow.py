"""Doubts about the shadow: its account, which a start insists on, and its venue, which it does without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from adapters.binance.credentials import CredentialsError
from adapters.contract import StartRefusal
from adapters.registry import credentials_for
from config.seams import Clock
from config.settings import Settings
from store.account_lock import account_holder
from worker.check_exchange import examined
from worker.doubt import Level, Row, fail, ok, warn
from worker.shadow_start import ShadowParts, shadow_of

SUBJECT = "shadow"


def shadow_rows(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Iterator[Row]:
    """Its account and what its venue says; nothing where it is off."""
    try:
        parts = _parts(settings, environ)
        if parts is None:
            return
        held = account_holder(parts.lock_name)
        if held is not None:
            yield _told(held, refuses=True)
            return
        yield _venue(asyncio.run(examined(parts.settings, parts.credentials, clock)))
    except CredentialsError as error:
        yield _told(str(error), refuses=True)


def _parts(settings: Settings, environ: Mapping[str, str]) -> ShadowParts | None:
    try:
        main = credentials_for(settings, environ)
    except CredentialsError:
        # Told in a row of its own.
        main = None
    return shadow_of(settings, environ, main)


def _venue(said: Row | StartRefusal) -> Row:
    if isinstance(said, StartRefusal):
        return _told(said.text, refuses=False)
    if said.level is Level.OK:
        return ok(SUBJECT, f"its venue {said.finding}")
    return warn(SUBJECT, f"its venue: {said.finding}", said.remedy)


def _told(sentence: str, *, refuses: bool) -> Row:
    """A sentence of the house: what is, then what to do."""
    finding, _, remedy = sentence.rpartition(": ")
    row = fail if refuses else warn
    return row(SUBJECT, finding or sentence, remedy if finding else "")
