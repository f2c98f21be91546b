"""Rules of the node `execution.notify`: events and fields of templates exist, names of variables are names.

Pure. A template is text with `{field}` in it and nothing more: no attribute, index, conversion or format can
be asked for, so that no template reaches anything but the words of its message.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

from config.names import nearest, shown
from config.notify_settings import FIELDS, Event, Notify

NODE = "execution.notify"
RECEIVERS = ("webhook", "pager", "apprise")
NOTIFY_ENV_KEYS = tuple(f"{NODE}.{each}.url_env" for each in (*RECEIVERS, "ping"))
TEMPLATE_CHARACTERS_MAX = 1_000
NAME_CHARACTERS_MAX = 100


def notify_problems(notify: Notify) -> Iterator[tuple[str, str]]:
    """Each key that cannot be used, with its sentence."""
    for receiver in RECEIVERS:
        events: tuple[str, ...] = getattr(notify, receiver).events
        for event in events:
            if event not in list(Event):
                key = f"{NODE}.{receiver}.events"
                yield key, f"{key} holds {shown(event)}, must be {_meant(event, list(Event))}"
    for event in Event:
        key = f"{NODE}.templates.{event}"
        fault = template_fault(getattr(notify.templates, event))
        if fault is not None:
            yield key, f"{key} {fault}"
    if notify.name is not None and (len(notify.name) > NAME_CHARACTERS_MAX or not notify.name.isprintable()):
        key = f"{NODE}.name"
        yield key, f"{key} must be one line of at most {NAME_CHARACTERS_MAX} characters"


def template_fault(template: str) -> str | None:
    """What is wrong with a template, as the rest of a sentence; None when nothing is."""
    if len(template) > TEMPLATE_CHARACTERS_MAX:
        return f"has {len(template)} characters, must have at most {TEMPLATE_CHARACTERS_MAX}"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        return "has a brace without its other half: write {{ or }} for a brace itself"
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS:
            return f"names the field {shown(field)}, must be {_meant(field, FIELDS)}"
        if spec or conversion:
            return f"asks for a format of {{{field}}}, must be {{{field}}} alone"
    return None


def filled(template: str, fields: dict[str, str]) -> str:
    """A template that has no fault, with its fields put in; one that is not there is empty."""
    words = []
    for text, field, _, _ in string.Formatter().parse(template):
        words.append(text)
        if field is not None:
            words.append(fields.get(field, ""))
    return "".join(words)


def _meant(word: str, known: tuple[str, ...] | list[Event]) -> str:
    """`x (perhaps y)`: what may stand there, the nearest first."""
    near = nearest(word, [str(one) for one in known])
    every = f"one of {', '.join(known)}"
    return every if near is None else f"{every}; perhaps {near} is meant"
