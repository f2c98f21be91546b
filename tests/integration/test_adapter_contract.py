"""One suite over every adapter: what the lane may rely on, whoever stands at the other end.

The promises are in `rig/promises`, the adapters in `rig/adapters.py`: a new adapter adds its stand there and
changes nothing else, the lane under test is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from rig.adapters import STANDS, stand
from rig.promise import Promise
from rig.stand import Setup
from rig.suite import PROMISES
from rig.virtual_clock import in_virtual_time

from adapters import contract, registry
from adapters.binance.credentials import Credentials
from adapters.contract import OrderState
from config.settings import Mode, Settings
from store.lifecycle import State
from worker import lane

# Promises that an adapter does not keep yet; one that is kept again must be taken off.
BROKEN: dict[tuple[str, str], str] = {}


def marks(name: str, promise: Promise) -> list[pytest.MarkDecorator]:
    """How a promise that is known to be broken is run."""
    reason = BROKEN.get((name, promise.name))
    return [] if reason is None else [pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)]


TRIALS = [
    pytest.param(
        name,
        promise,
        setup,
        id="-".join(filter(None, (name, promise.name, setup.loss))),
        marks=marks(name, promise),
    )
    for name, made in STANDS.items()
    for promise in PROMISES
    if promise.binds(made.traits)
    for setup in promise.setups(made.traits)
]


@pytest.mark.parametrize(("name", "promise", "setup"), TRIALS)
@in_virtual_time
async def test_the_adapter_keeps_the_promise(
    tmp_path: Path, name: str, promise: Promise, setup: Setup
) -> None:
    async with stand(name, tmp_path, setup) as made:
        await promise.keep(made)


def test_the_lane_names_no_adapter() -> None:
    source = Path(lane.__file__).read_text()
    names = {path.stem for path in Path(contract.__file__).parent.glob("*.py")} - {"contract", "__init__"}

    imported = {name for name in names if f"adapters.{name}" in source or f"adapters import {name}" in source}

    assert imported == set()


def test_the_words_of_the_contract_are_states_of_the_ledger() -> None:
    assert {State(word) for word in get_args(OrderState)} <= set(State)


def test_every_mode_that_is_offered_opens_an_adapter_of_the_suite() -> None:
    for mode in registry.available_modes():
        settings = Settings.model_validate({"execution": {"mode": Mode(mode)}})
        key = Credentials("a-key", "a-secret", "a test") if settings.execution.mode.touches_exchange else None
        assert registry.open_adapter(settings, credentials=key).name in STANDS


def test_a_mode_without_an_adapter_is_refused_with_what_to_set() -> None:
    missing = [mode for mode in Mode if mode.value not in registry.available_modes()]
    for mode in missing:
        settings = Settings.model_validate({"execution": {"mode": mode}})
        with pytest.raises(registry.ModeUnavailableError, match=r"set execution\.mode or --mode"):
            registry.open_adapter(settings)
