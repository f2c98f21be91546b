"""The herald: it hears what the worker logs, makes messages of it, and has them delivered.

The trading code never waits for it and never calls it: a listener on the log puts the event into a bounded
list, and everything else happens in tasks of the herald's own. What is left when the worker ends is said
then, within a short and fixed time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from config.notify_settings import Event, Notify
from config.seams import Clock
from worker.logs import Log
from worker.notices.apprise_way import apprise_ways
from worker.notices.delivery import Receiver
from worker.notices.memory import KEPT, Memory
from worker.notices.notice import Notice
from worker.notices.places import Places
from worker.notices.repeats import Repeats
from worker.notices.tap import Tap
from worker.notices.waiting import Message, Waiting
from worker.notices.ways import Undelivered, Way, WebhookWay, ping
from worker.notices.wording import Wording

# Events between two turns of the herald's task: more is a flood, of which the first ones tell enough.
HEARD_MAX = 1_000

Healthy = Callable[[], bool]


class Herald:
    """All receivers of one worker, and its dead man's switch."""

    def __init__(
        self, notify: Notify, receivers: list[Receiver], pinger: Pinger | None, clock: Clock
    ) -> None:
        self.receivers = receivers
        self.pinger = pinger
        self.unheard = 0
        self.log: Log | None = None
        self.hidden: tuple[str, ...] = ()
        self._notify = notify
        self._clock = clock
        self._tap = Tap()
        self._repeats = Repeats(notify.repeat_s)
        self._memory: Memory | None = None
        self._heard: deque[tuple[str, Mapping[str, object], int]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._news = asyncio.Event()

    @property
    def is_needed(self) -> bool:
        """Whether anybody is told of anything."""
        return bool(self.receivers) or self.pinger is not None

    def listen_to(self, log: Log, folder: Path | None = None) -> None:
        """From now on what this log is told is told to people.

        With a folder, a file in it keeps what was told of starts and ends for the next life.
        """
        self.log = log
        for text in self.hidden:
            log.redact(text)
        if not self.receivers:
            return
        log.listen(self._tap.names, self.hear)
        if folder is not None:
            self._memory = Memory(folder)
            now_s, wall_ms = self._clock.monotonic_s(), self._clock.wall_ms()
            self._repeats.remember(self._memory.load(), now_s=now_s, wall_ms=wall_ms)

    def ping_while(self, healthy: Healthy) -> None:
        """From now on the dead man's switch is held while `healthy` says so."""
        if self.pinger is not None and self.log is not None:
            self.pinger.ping_while(healthy, self.log)

    def hear(self, name: str, fields: Mapping[str, object]) -> None:
        """Take an event of the log; from any thread, at a small and constant cost."""
        if len(self._heard) >= HEARD_MAX:
            self.unheard += 1
            return
        self._heard.append((name, fields, self._clock.wall_ms()))
        if self._loop is None:
            return
        if threading.get_ident() == self._thread:
            self._news.set()
        else:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)

    def say(self, notice: Notice) -> None:
        """Tell every receiver that wants to know, unless it was told a moment ago."""
        count = self._repeats.count(notice, self._clock.monotonic_s())
        if count is not None:
            for receiver in self.receivers:
                receiver.put(Message(notice, count))
        if notice.event in KEPT and self._memory is not None:
            now_s, wall_ms = self._clock.monotonic_s(), self._clock.wall_ms()
            self._memory.save(self._repeats.told(now_s=now_s, wall_ms=wall_ms))

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Deliver while the block runs; whatever becomes of the herald, the block does not notice."""
        tasks = [asyncio.create_task(receiver.run(), name="receiver") for receiver in self.receivers]
        if self.receivers:
            tasks.append(asyncio.create_task(self._sort(), name="notices"))
        if self.pinger is not None:
            tasks.append(asyncio.create_task(self.pinger.run(), name="ping"))
        for task in tasks:
            task.add_done_callback(self._task_ended)
        try:
            yield
        finally:
            self._loop = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def last_words(self) -> None:
        """Say what is left, outside of any loop, and within a fixed time."""
        self._take_heard()
        if any(receiver.waiting for receiver in self.receivers):
            asyncio.run(self._say_what_is_left())

    async def _say_what_is_left(self) -> None:
        until_s = self._clock.monotonic_s() + self._notify.last_words_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._notify.last_words_s + 0.5):
                await asyncio.gather(*(receiver.last_words(until_s) for receiver in self.receivers))

    async def _sort(self) -> None:
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        while True:
            self._take_heard()
            await self._news.wait()
            self._news.clear()

    def _take_heard(self) -> None:
        while self._heard:
            name, fields, at_ms = self._heard.popleft()
            notice = self._tap.notice(name, fields, at_ms)
            if notice is not None:
                self.say(notice)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A task of the herald ends when it is canceled; anything else is a bug that must not stay unseen."""
        if not task.cancelled() and task.exception() is not None and self.log is not None:
            self.log.error("notices_broken", task=task.get_name(), why=type(task.exception()).__name__)


class Pinger:
    """Asks for a URL while the worker is well. What that means is told with `ping_while`."""

    def __init__(self, places: Places, notify: Notify, clock: Clock) -> None:
        self.pings = 0
        self._url = places.ping[0]
        self._notify = notify
        self._clock = clock
        self._healthy: Healthy | None = None
        self._log: Log | None = None
        self._trouble: str | None = None

    def ping_while(self, healthy: Healthy, log: Log) -> None:
        """From now on, as often as is set, and while `healthy` says so."""
        self._healthy, self._log = healthy, log

    async def run(self) -> None:
        """Until canceled."""
        due_s = self._clock.monotonic_s()
        while True:
            if self._healthy is not None and self._clock.monotonic_s() >= due_s and self._healthy():
                due_s = self._clock.monotonic_s() + self._notify.ping.every_s
                self._note(await self.once())
            await self._clock.sleep(1.0)

    async def once(self) -> Undelivered | None:
        """One ping, for those who wait for its outcome."""
        self.pings += 1
        return await ping(self._url, self._notify.timeout_s, trust_env=self._notify.trust_env_proxy)

    def _note(self, found: Undelivered | None) -> None:
        before, self._trouble = self._trouble, None if found is None else found.why
        if self._log is None or before == self._trouble:
            return
        if found is None:
            self._log.event("receiver_reached_again", receiver="ping")
        else:
            self._log.warning("receiver_not_reached", receiver="ping", why=found.why)


def herald_of(notify: Notify, places: Places, *, mode: str, clock: Clock) -> Herald:
    """The herald for these addresses. Raises PlacesError where apprise is needed and cannot be used."""
    wording = Wording(notify, name=notify.name or socket.gethostname(), mode=mode)
    receivers: list[Receiver] = []
    herald = Herald(notify, receivers, Pinger(places, notify, clock) if places.ping else None, clock)
    herald.hidden = places.hidden
    trust_env = notify.trust_env_proxy
    others: list[Way] = [*apprise_ways(places.apprise, places.origins.get("apprise", ""))]
    ways: list[tuple[str, tuple[str, ...], list[Way]]] = [
        ("webhook", notify.webhook.events, [WebhookWay(url, trust_env=trust_env) for url in places.webhooks]),
        ("pager", notify.pager.events, [WebhookWay(url, trust_env=trust_env) for url in places.pagers]),
        ("apprise", notify.apprise.events, others),
    ]
    for kind, events, found in ways:
        for number, way in enumerate(found, 1):
            name = kind if len(found) == 1 else f"{kind} {number}"
            waiting = Waiting(notify.waiting_max, events)
            receivers.append(
                Receiver(
                    name, way, waiting, notify=notify, wording=wording, clock=clock, log=lambda: herald.log
                )
            )
    return herald


def once_of(event: Event, fields: Mapping[str, object], clock: Clock) -> Notice:
    """A notice that a command tells of: its fields as texts, its `why` as what it is about."""
    texts = {name: str(value) for name, value in fields.items()}
    return Notice(event, texts.get("why", ""), clock.wall_ms(), texts)
