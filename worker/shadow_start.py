"""The shadow at a start: its account, which must not be the main one, and the adapter around the main.

The hosts are the testnet's or loopback, whatever the mode of the main side: no setting sends a copy to where
money is real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.seams import Clock
from config.settings import Broker, Mode, Settings
from worker.parts import EXECUTIONS_FOLDER, lock_name_of
from worker.shadow_files import FOLDER, PairFiles

if TYPE_CHECKING:
    from adapters.binance.credentials import Credentials
    from adapters.contract import ExecutionAdapter
    from adapters.shadow import ShadowAdapter


@dataclass(frozen=True, slots=True)
class ShadowParts:
    """The second account, and the settings with which it is opened."""

    settings: Settings
    credentials: Credentials

    @property
    def lock_name(self) -> str:
        """What no two workers of this host may trade at once."""
        return lock_name_of(self.credentials.fingerprint, self.settings.broker)

    def around(self, main: ExecutionAdapter, clock: Clock) -> ShadowAdapter:
        """The main adapter with its shadow; nothing is connected yet.

        Raises CredentialsError when the secret is no key that can sign.
        """
        # Now, and not while the first orders leave: 140 ms of imports.
        import adapters.binance.aiohttp_transport  # noqa: F401  # what the connection will be made with
        from adapters.binance.connect import open_binance
        from adapters.shadow import ShadowAdapter
        from adapters.shadow_pairs import SHADOW_PREFIX

        def second() -> ExecutionAdapter:
            return open_binance(self.settings, self.credentials, clock, prefix=SHADOW_PREFIX)

        second()
        execution = self.settings.execution
        files = PairFiles(
            execution.output_dir / EXECUTIONS_FOLDER / FOLDER, clock, keep_days=execution.keep_days
        )
        return ShadowAdapter(main, second, settings=execution.shadow, clock=clock, keep=files.keep)


def shadow_of(settings: Settings, environ: Mapping[str, str], main: Credentials | None) -> ShadowParts | None:
    """The shadow that the settings ask for, None for none; `main` is what the main side trades with.

    Raises CredentialsError with one sentence when its credentials cannot be used, or are the main ones.
    """
    if not settings.execution.shadow.enabled:
        return None
    from adapters.binance.credentials import CredentialsError, read_credentials

    second = shadow_settings(settings)
    credentials = read_credentials(second.broker, environ, of="the shadow")
    if main is not None and main.fingerprint == credentials.fingerprint:
        raise CredentialsError(
            f"{credentials.origin} holds the key of the main account, must be another account's: give the "
            "shadow a key of its own in execution.shadow.api_key_env and secret_env, or switch it off"
        )
    return ShadowParts(second, credentials)


def shadow_settings(settings: Settings) -> Settings:
    """The settings of the second venue: the testnet's mode and hosts, or loopback, whatever the main mode."""
    shadow = settings.execution.shadow
    broker = Broker(
        name=shadow.name,
        api_key_env=shadow.api_key_env,
        secret_env=shadow.secret_env,
        rest_url=shadow.rest_url,
        stream_url=shadow.stream_url,
        trust_env_proxy=settings.broker.trust_env_proxy,
    )
    execution = settings.execution.model_copy(update={"mode": Mode.TESTNET})
    return Settings(execution=execution, broker=broker)
