"""Which adapters this version has, by mode.

What dry-run does not need is imported only where a mode needs it: no credential is read and no HTTP
is loaded for a run that sends nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from adapters.contract import ExecutionAdapter, StartRefusal
from adapters.dry_run import DryRunAdapter
from config.seams import Clock, SystemClock
from config.settings import Mode, Settings

if TYPE_CHECKING:
    from adapters.binance.credentials import Credentials


class ModeUnavailableError(Exception):
    """The configured mode has no adapter with these settings."""


def available_modes() -> frozenset[str]:
    """The modes that can be started."""
    return frozenset({Mode.DRY_RUN.value, Mode.PAPER.value, Mode.TESTNET.value, Mode.LIVE.value})


def credentials_for(settings: Settings, environ: Mapping[str, str]) -> Credentials | None:
    """The credentials that the configured mode trades with; None where it needs none.

    Raises CredentialsError (adapters.binance.credentials) with one sentence.
    """
    if not settings.execution.mode.touches_exchange:
        return None
    from adapters.binance.credentials import read_credentials

    return read_credentials(settings.broker, environ)


def open_adapter(
    settings: Settings, *, clock: Clock | None = None, credentials: Credentials | None = None
) -> ExecutionAdapter:
    """The adapter of the configured mode; nothing is connected before its `start`.

    Testnet and live take `credentials`, or those that `credentials_for` finds in the environment.
    Raises ModeUnavailableError with a sentence when paper's rules cannot be used, CredentialsError for the
    credentials.
    """
    mode = settings.execution.mode
    if mode is Mode.DRY_RUN:
        return DryRunAdapter(base_order_qty=settings.execution.business.base_order_qty)
    given_clock = clock if clock is not None else SystemClock()
    if mode is Mode.PAPER:
        from adapters.paper.connect import open_paper

        opened = open_paper(settings, given_clock)
        if isinstance(opened, StartRefusal):
            raise ModeUnavailableError(opened.text)
        return opened
    from adapters.binance.connect import open_binance

    given = credentials if credentials is not None else credentials_for(settings, os.environ)
    assert given is not None
    return open_binance(settings, given, given_clock)
