"""Doubts about messages to people: whether anybody gets them, and whether their addresses can be used.

Nobody is sent anything: that is `execution-worker notify test`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from config.notify_settings import Notify
from config.settings import Settings
from worker.doubt import Row, fail, ok, warn
from worker.notices.apprise_way import apprise_ways
from worker.notices.places import Places, PlacesError, places_of
from worker.notices.trial import nobody

SUBJECT = "notify"


def notify_rows(settings: Settings, environ: Mapping[str, str]) -> Iterator[Row]:
    """Who is told, and from where each address comes."""
    notify, mode = settings.execution.notify, settings.execution.mode
    try:
        places = places_of(notify, environ)
        apprise_ways(places.apprise, places.origins.get("apprise", ""))
    except PlacesError as error:
        yield _told(str(error))
        return
    receivers = (*places.webhooks, *places.pagers, *places.apprise)
    if not receivers:
        what, _, remedy = nobody(notify).partition(": ")
        # A trial run needs nobody to be woken.
        yield warn(SUBJECT, what, remedy) if mode.touches_exchange and notify.enabled else ok(SUBJECT, what)
    yield from _kinds(places, notify)


def _kinds(places: Places, notify: Notify) -> Iterator[Row]:
    kinds = {
        "webhook": (places.webhooks, notify.webhook.events),
        "pager": (places.pagers, notify.pager.events),
        "apprise": (places.apprise, notify.apprise.events),
    }
    for kind, (urls, events) in kinds.items():
        if urls:
            count = "one receiver" if len(urls) == 1 else f"{len(urls)} receivers"
            told = ", ".join(events) or "every event"
            yield ok(f"{SUBJECT} {kind}", f"{count} in {places.origins[kind]}, told of {told}")
    if places.ping:
        halted = "also" if notify.ping.while_halted else "not"
        yield ok(
            f"{SUBJECT} ping",
            f"every {notify.ping.every_s:g} s while all is well, {halted} while halted; from "
            f"{places.origins['ping']}",
        )


def _told(sentence: str) -> Row:
    """A sentence of the house: what is, then what to do."""
    finding, _, remedy = sentence.rpartition(": ")
    return fail(SUBJECT, finding, remedy) if finding else fail(SUBJECT, sentence, "")
