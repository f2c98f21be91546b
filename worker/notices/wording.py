"""The words of a message: one text for people, and the same as fields for programs. Pure.

`text` is what Slack, Mattermost and Telegram's sendMessage take, `content` what Discord takes; receivers
pass over the fields that they do not know.
"""

from __future__ import annotations

from datetime import UTC, datetime

from config.notify_rules import filled
from config.notify_settings import Notify
from worker.notices.notice import Notice, Phase
from worker.notices.waiting import Message

# Discord refuses more than 2 000; the rest is room for what is added to a text.
TEXT_CHARACTERS_MAX = 1_500
FIELD_CHARACTERS_MAX = 600

Body = dict[str, str | int]


class Wording:
    """Makes messages of notices for one worker, called `name`."""

    def __init__(self, notify: Notify, *, name: str, mode: str) -> None:
        self._name = _line(name)
        self._mode = mode
        templates = notify.templates
        self._templates = {
            "started": templates.started,
            "stopped": templates.stopped,
            "failed": templates.failed,
            "halted": templates.halted,
            "resumed": templates.resumed,
            "quarantined": templates.quarantined,
            "exchange_refused": templates.exchange_refused,
            "limit_reached": templates.limit_reached,
            "no_progress": templates.no_progress,
            "late_fill": templates.late_fill,
            "trouble": templates.trouble,
            "drill_failed": templates.drill_failed,
            "test": templates.test,
        }

    def body(self, message: Message) -> Body:
        """What is sent: every value one bounded line."""
        notice = message.notice
        fields = self._fields(message)
        text = _line(filled(self._templates[notice.event], fields), TEXT_CHARACTERS_MAX)
        if message.count > 1:
            text += f" ({message.count} times since it was told last)"
        if message.dropped:
            text += f" ({_messages_were(message.dropped)} dropped before this one)"
        text = f"[{self._name}] {text}"
        told: Body = {name: value for name, value in fields.items() if name != "count"}
        numbers = {"count": message.count, "dropped": message.dropped, "at_ms": notice.at_ms}
        return {"text": text, "content": text, "state": notice.phase.value, **told, **numbers}

    def _fields(self, message: Message) -> dict[str, str]:
        notice = message.notice
        return {
            **{name: _line(value) for name, value in notice.fields.items()},
            "event": notice.event.value,
            "severity": notice.severity,
            "name": self._name,
            "mode": self._mode,
            "time": iso_time_of(notice),
            "count": str(message.count),
        }


def iso_time_of(notice: Notice) -> str:
    """When it happened, UTC, to the second."""
    return datetime.fromtimestamp(notice.at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def title_of(body: Body) -> str:
    """A line for those that have a title beside the text, as mail does."""
    over = " is over" if body["state"] == Phase.ENDED else ""
    return f"{body['name']}: {str(body['event']).replace('_', ' ')}{over}"


def _messages_were(count: int) -> str:
    return "1 message was" if count == 1 else f"{count} messages were"


def _line(text: str, most: int = FIELD_CHARACTERS_MAX) -> str:
    """One line without characters that act on anything; cut where it is too long."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
