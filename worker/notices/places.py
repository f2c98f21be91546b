"""Where the addresses of receivers come from: $CREDENTIALS_DIRECTORY, a file with mode 0600, the environment.

An address is a secret: whoever knows a chat's webhook can write there, and Telegram's holds the bot's token.
It travels as a `Secret`, which shows nothing of itself; no sentence of this module contains one.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from config.notify_settings import Notify, Ping, Webhook
from config.secret_file import CREDENTIALS_DIRECTORY, Kind, SecretFileError, read_secret

URL_CHARACTERS_MAX = 2_000
# More receivers than this are a list, which the receiver itself should keep.
URLS_MAX = 8
# Shorter parts of an address are words that everybody uses.
PART_CHARACTERS_MIN = 16


class PlacesError(Exception):
    """An address cannot be used. `kind` decides the exit code (77, 78), the text is the sentence."""

    def __init__(self, sentence: str, kind: Kind = "configuration") -> None:
        self.kind: Kind = kind
        super().__init__(sentence)


class Secret:
    """A text that is used and never shown."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    __str__ = __repr__

    def reveal(self) -> str:
        """The text itself, for the wire alone."""
        return self._value


@dataclass(frozen=True, slots=True)
class Places:
    """The addresses of each kind of receiver, and in words where they were found."""

    webhooks: tuple[Secret, ...] = ()
    pagers: tuple[Secret, ...] = ()
    apprise: tuple[Secret, ...] = ()
    ping: tuple[Secret, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Every text that must not appear in any output: the addresses, and their long parts."""
        every = (*self.webhooks, *self.pagers, *self.apprise, *self.ping)
        return tuple(text for secret in every for text in _telling(secret.reveal()))


def places_of(notify: Notify, environ: Mapping[str, str]) -> Places:
    """The addresses that the settings name; none while notify is switched off. May be repeated.

    Raises PlacesError with one sentence for the first mistake.
    """
    if not notify.enabled:
        return Places()
    found = {
        "webhook": _urls("webhook", notify.webhook, environ),
        "pager": _urls("pager", notify.pager, environ),
        "apprise": _urls("apprise", notify.apprise, environ),
        "ping": _urls("ping", notify.ping, environ),
    }
    for kind in ("webhook", "pager", "ping"):
        for number, url in enumerate(found[kind][0], 1):
            _check_url(url, f"URL {number} in {found[kind][1]}")
    if len(found["ping"][0]) > 1:
        raise PlacesError(f"{found['ping'][1]} holds {len(found['ping'][0])} URLs, must hold one to ping")
    webhooks, pagers, apprise, ping = (tuple(map(Secret, urls)) for urls, _ in found.values())
    origins = {kind: where for kind, (urls, where) in found.items() if urls}
    return Places(webhooks, pagers, apprise, ping, origins)


def _urls(kind: str, receiver: Webhook | Ping, environ: Mapping[str, str]) -> tuple[list[str], str]:
    """The URLs of one kind of receiver, and where they were found."""
    text, where = _found(kind, receiver, environ)
    urls = text.split()
    if len(urls) > URLS_MAX:
        raise PlacesError(f"{where} holds {len(urls)} URLs, must hold at most {URLS_MAX}: one a line")
    if (not urls and text != "") or any(len(url) > URL_CHARACTERS_MAX for url in urls):
        raise PlacesError(f"{where} holds no URL: put one URL a line into it")
    return urls, where


def _found(kind: str, receiver: Webhook | Ping, environ: Mapping[str, str]) -> tuple[str, str]:
    """The first place that is there: the folder of the service manager, the file, the variable."""
    folder, name, path = environ.get(CREDENTIALS_DIRECTORY), receiver.url_env, receiver.url_file
    user = os.geteuid()
    try:
        if folder and os.path.lexists(os.path.join(folder, name)):
            where = f"${CREDENTIALS_DIRECTORY}/{name}"
            # systemd leaves its files to root, and lets the service in by the rights of the group.
            return read_secret(Path(folder, name), where, owners=(user, 0), forbidden=0o007) or "\n", where
        if path is not None:
            where = f"execution.notify.{kind}.url_file {path}"
            return read_secret(path, where, owners=(user,), forbidden=0o077) or "\n", where
    except SecretFileError as error:
        raise PlacesError(str(error), error.kind) from None
    # An empty variable is what a shell leaves of one that was not set.
    return environ.get(name, "").strip(), f"the environment variable {name}"


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise PlacesError(f"{where} is no URL: give one such as https://host/path") from None
    if not parts.hostname or not url.isascii() or not url.isprintable():
        raise PlacesError(f"{where} is no URL: give one such as https://host/path")
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts)):
        return
    raise PlacesError(f"{where} must begin with https://: http is for loopback alone")


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _telling(url: str) -> list[str]:
    """The URL, its path with the query, and each long part of them."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    pieces = [*parts.path.split("/"), parts.password or "", parts.username or ""]
    pieces += [value for _, value in parse_qsl(parts.query)]
    return [url, *(one for one in (path, *pieces) if len(one) >= PART_CHARACTERS_MIN)]
