"""Which adapters this version has, by mode."""

from __future__ import annotations

from adapters.contract import ExecutionAdapter
from adapters.dry_run import DryRunAdapter
from config.settings import Mode, Settings


class ModeUnavailableError(Exception):
    """The configured mode has no adapter in this version."""


def available_modes() -> frozenset[str]:
    """The modes that can be started."""
    return frozenset({Mode.DRY_RUN.value})


def open_adapter(settings: Settings) -> ExecutionAdapter:
    """The adapter of the configured mode.

    Raises ModeUnavailableError with a sentence when there is none.
    """
    mode = settings.execution.mode
    if mode is Mode.DRY_RUN:
        return DryRunAdapter(base_order_qty=settings.execution.business.base_order_qty)
    raise ModeUnavailableError(
        f"execution.mode is {mode.value}, this version executes {', '.join(sorted(available_modes()))} only: "
        "set execution.mode or --mode to one of them"
    )
