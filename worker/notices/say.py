"""Said by a command: one message, or one test to everybody, and the outcome. Outside of any event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from config.load import credentials_redactor
from config.notify_settings import Event
from config.seams import Clock, SystemClock
from config.settings import Settings
from worker.notices.herald import Herald, herald_of, once_of
from worker.notices.places import PlacesError, places_of
from worker.notices.waiting import Message

TOLD = "execution-worker notify test was run"


def say_once(
    settings: Settings,
    event: str,
    fields: Mapping[str, object],
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> list[str]:
    """Tell every receiver that wants to know of `event`; a sentence for each that was not reached.

    `why` of the fields says what is the matter. Returns at once where nobody is configured, and after
    `last_words_s` at the latest. Not for code that runs in an event loop.
    """
    environ = os.environ if environ is None else environ
    clock = SystemClock() if clock is None else clock
    notify, redactor = settings.execution.notify, credentials_redactor(settings, environ)
    try:
        herald = herald_of(
            notify, places_of(notify, environ), mode=settings.execution.mode.value, clock=clock
        )
    except PlacesError as error:
        return [str(error)]
    clean = {name: redactor.text(str(value)) for name, value in fields.items()}
    herald.say(once_of(Event(event), clean, clock))
    herald.last_words()
    return [f"{one.name} was not reached: {one.trouble}" for one in herald.receivers if one.trouble]


def say_to_all(herald: Herald, clock: Clock) -> list[tuple[str, str | None]]:
    """A test to every receiver, one attempt each; its name and why it failed, None where it did not."""
    return asyncio.run(_test(herald, clock))


async def _test(herald: Herald, clock: Clock) -> list[tuple[str, str | None]]:
    message = Message(once_of(Event.TEST, {"why": TOLD}, clock))
    names = [receiver.name for receiver in herald.receivers]
    attempts = [receiver.once(message) for receiver in herald.receivers]
    if herald.pinger is not None:
        names.append("ping")
        attempts.append(herald.pinger.once())
    found = await asyncio.gather(*attempts)
    return [(name, None if one is None else one.why) for name, one in zip(names, found, strict=True)]
