"""What waits for one receiver: bounded, the oldest goes first, and what went is told. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from config.notify_settings import Event
from worker.notices.notice import FINAL, Notice


@dataclass(frozen=True, slots=True)
class Message:
    """A notice on its way: how often it happened, and how many before it were dropped."""

    notice: Notice
    count: int = 1
    dropped: int = 0


class Waiting:
    """First in, first out. `events` are those that the receiver wants; none means all of them."""

    def __init__(self, most: int, events: Sequence[str] = ()) -> None:
        self._events = frozenset(events)
        self._messages: deque[Message] = deque()
        self._most = most
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def wants(self, event: Event) -> bool:
        """Whether the receiver is told of this; a test is for everybody."""
        return not self._events or event.value in self._events or event is Event.TEST

    def put(self, message: Message) -> None:
        """Let it wait; the oldest goes where there is no room."""
        if not self.wants(message.notice.event):
            return
        self._messages.append(message)
        if len(self._messages) > self._most:
            self._dropped += 1 + self._messages.popleft().dropped

    def take(self) -> Message:
        """The oldest, and with it the number of those that were dropped."""
        message = self._messages.popleft()
        dropped, self._dropped = self._dropped, 0
        return Message(message.notice, message.count, message.dropped + dropped)

    def put_back(self, message: Message) -> None:
        """It was not delivered after all: before all others."""
        self._messages.appendleft(message)

    def last_words(self) -> None:
        """What tells of the end comes first, after the start; and who failed did not stop as asked."""
        found = sorted(self._messages, key=lambda message: _turn(message.notice.event))
        failed = any(message.notice.event is Event.FAILED for message in found)
        kept = [one for one in found if not (failed and one.notice.event is Event.STOPPED)]
        self._messages = deque(kept)


def _turn(event: Event) -> int:
    if event is Event.STARTED:
        return 0
    return 1 if event in FINAL else 2
