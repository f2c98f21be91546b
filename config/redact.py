"""Keeping secrets out of every sentence that leaves the process.

Secrets are known by value, not by place: whatever text is about to be shown is searched for the
values of the credential variables and for `user:password@` in URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

HIDDEN = "[redacted]"

# A shorter value is no credential, and hiding every "1" would make sentences unreadable.
SECRET_CHARACTERS_MIN = 6

_SECRET_NAME = re.compile(
    r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|(API|PRIVATE|ACCESS)_?KEY$", re.IGNORECASE
)
# Such a variable names a place, which people have to read: CREDENTIALS_DIRECTORY, V13_BROKER__SECRET_FILE.
_PLACE_NAME = re.compile(r"_(FILE|DIRECTORY)$", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=://)[^/\s@]*@")
_OPAQUE = re.compile(r"[A-Za-z0-9+_=-]{32,}")


class Redactor:
    """Replaces known secrets in text. Its repr shows none of them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first: a secret that contains another one disappears as a whole.
        usable = {secret for secret in secrets if len(secret) >= SECRET_CHARACTERS_MIN}
        self._secrets = sorted(usable, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def text(self, text: str) -> str:
        """`text` without any known secret and without the user part of URLs."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _URL_USER.sub(f"{HIDDEN}@", text)


def redactor_of(
    environ: Mapping[str, str], names: Iterable[str] = (), *, lists: Iterable[str] = ()
) -> Redactor:
    """A redactor for the variables `names` and for every variable whose name sounds like a credential.

    Of the variables `lists` each word is a secret.
    """
    wanted = set(names)
    secrets = [
        part
        for name, value in environ.items()
        if name in wanted or (_SECRET_NAME.search(name) and not _is_place(name, value))
        for part in (value, value.strip())
    ]
    return Redactor([*secrets, *(word for name in lists for word in environ.get(name, "").split())])


def _is_place(name: str, value: str) -> bool:
    """True for a path where a path belongs; a credential that was pasted there stays hidden."""
    return bool(_PLACE_NAME.search(name)) and value.startswith("/") and not looks_secret(value)


def looks_secret(text: str) -> bool:
    """True for a long opaque token, which may be a credential that was pasted into the wrong place."""
    return _OPAQUE.search(text) is not None
