"""The way through apprise, an extra to be installed: Telegram, Slack, mail and a hundred others.

It is loaded before the loop runs, because that takes half a second of the processor, and only where one of
its addresses is given. Its records quote addresses: nobody gets to see them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING

from worker.notices.aside import aside
from worker.notices.places import PlacesError, Secret
from worker.notices.ways import Undelivered
from worker.notices.wording import Body, title_of

if TYPE_CHECKING:
    import apprise

MISSING = (
    "apprise is not installed, which execution.notify.apprise needs: "
    "pip install execution-worker[notify], or remove its addresses"
)


class AppriseWay:
    """The library's own ways, each message in a thread that nobody waits for at the end."""

    def __init__(self, receivers: apprise.Apprise) -> None:
        self._receivers = receivers
        self._busy = threading.Lock()

    async def send(self, body: Body, timeout_s: float) -> Undelivered | None:
        """One attempt; a call that hangs is left alone, and no other is made beside it."""
        if not self._busy.acquire(blocking=False):
            return Undelivered("it is still busy with an earlier message")
        try:
            async with asyncio.timeout(timeout_s):
                arrived = await aside(partial(self._told, body), "apprise")
        except TimeoutError:
            return Undelivered("no answer within the time limit")
        except OSError:
            arrived = False
        if arrived:
            return None
        return Undelivered("apprise could not deliver it: look at the address and at the service")

    def _told(self, body: Body) -> bool:
        import apprise

        kinds = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING}
        kind = kinds.get(str(body["severity"]), apprise.NotifyType.FAILURE)
        try:
            found = self._receivers.notify(body=str(body["text"]), title=title_of(body), notify_type=kind)
            return bool(found)
        finally:
            self._busy.release()


def apprise_ways(urls: tuple[Secret, ...], origin: str) -> list[AppriseWay]:
    """A way for each address; nothing is imported without any. Before a loop runs.

    Raises PlacesError where apprise is not installed, or does not know an address.
    """
    if not urls:
        return []
    if importlib.util.find_spec("apprise") is None:
        raise PlacesError(MISSING)
    for name in ("apprise", "urllib3", "requests"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        # Of its hundred services, some use what Python will not have for ever.
        warnings.simplefilter("ignore")
        return [_way(url, f"URL {number} in {origin}") for number, url in enumerate(urls, 1)]


def _way(url: Secret, where: str) -> AppriseWay:
    import apprise

    receivers = apprise.Apprise()
    if not receivers.add(url.reveal()):
        raise PlacesError(f"{where} is no address of apprise's: docs/notifications.md shows some")
    return AppriseWay(receivers)
